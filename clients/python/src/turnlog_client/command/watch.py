"""list your sessions, and print each change of their state"""  # noqa: D415 - it is the text of --help

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from turnlog_client.client import Client
from turnlog_client.command.lines import one_line, session_line, width_of
from turnlog_client.events import RoomFrame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", metavar="ID", help="only the sessions of this project")
    parser.add_argument("--json", action="store_true", help="print whole frames as JSON")


def run(parsed: argparse.Namespace) -> int:
    with Client(parsed.url, token=parsed.token, max_tries=1) as client:
        if parsed.project:
            client.get_project(parsed.project)
        else:
            client.list_sessions(limit=1)  # a stream would wait for a server that is away
        view = SessionsView()
        for frame in client.room(parsed.project):
            if parsed.json:
                print(json.dumps({"type": frame.type, "data": frame.data, "cursor": frame.cursor}), flush=True)
                continue
            for line in view.lines(frame, width_of(sys.stdout)):
                print(line, flush=True)
    return 0


@dataclass
class SessionsView:
    """What was shown of each session, so that a line comes only with a change."""

    _shown: dict[str, tuple[int, object]] = field(default_factory=dict[str, tuple[int, object]])

    def lines(self, frame: RoomFrame, width: int) -> Iterator[str]:
        """Yield a line for each session whose state, name or agent the frame changes."""
        match frame.type:
            case "init":
                for session in reversed(cast("list[Mapping[str, Any]]", frame.data["sessions"])):
                    yield from self._session(session, width)
            case "session_created" | "session_updated":
                yield from self._session(frame.data["session"], width)
            case "session_deleted":
                self._shown.pop(frame.data["session_id"], None)
                yield one_line(f"{'':<8}  {frame.data['session_id']} is deleted", width)
            case _:
                pass

    def _session(self, session: Mapping[str, Any], width: int) -> Iterator[str]:
        names = ("state", "session_name", "agent_name", "archived")
        view = (int(session["head"]), [session.get(name) for name in names])
        head, shown = self._shown.get(session["session_id"], (-1, None))
        if view[0] < head:
            return  # of two views, the one with the greater head is newer
        self._shown[session["session_id"]] = view
        if view[1] != shown:
            yield session_line(session, width)
