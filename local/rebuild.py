"""`python -m local.rebuild export.ndjson`: a session's state, usage and messages from its export, as JSON.

`-` reads standard input. It needs nothing but the file.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.api.shapes.common import as_json
from shared.api.shapes.messages import MessageView
from shared.api.shapes.sessions import SessionView
from shared.domain.export import ExportedEvent, ExportHeader
from shared.domain.rebuild import ExportError, Rebuilt, rebuilt


def read(lines: Iterable[str]) -> Rebuilt:
    """The session that the lines of an export tell of.

    Raises:
        ExportError: they are none, or not all of it.
    """
    texts = (line for line in lines if line.strip())
    try:
        header = ExportHeader.model_validate_json(next(texts, ""))
        return rebuilt(header, _events(texts))
    except ValidationError as error:
        raise ExportError(f"This is no line of an export that this version reads: {error}") from error


def _events(lines: Iterable[str]) -> Iterator[ExportedEvent]:
    for line in lines:
        yield ExportedEvent.model_validate_json(line)


def shown(session: Rebuilt) -> dict[str, Any]:
    """The session as the API shows it."""
    state = session.state
    return {
        "session": SessionView.of(state),
        "usage": state.usage,
        "messages": [MessageView.of(message) for message in session.messages],
    }


def main(arguments: list[str]) -> None:
    parser = ArgumentParser("python -m local.rebuild", description="A session's state, usage and messages, as JSON.")
    parser.add_argument("export", help="what GET /sessions/{id}/export gave; - reads standard input")
    source = parser.parse_args(arguments).export
    try:
        if source == "-":
            session = read(sys.stdin)
        else:
            with Path(source).open(encoding="utf-8", newline="\n") as file:
                session = read(file)
    except (ExportError, OSError) as error:
        sys.exit(str(error))
    sys.stdout.write(as_json(shown(session)).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
