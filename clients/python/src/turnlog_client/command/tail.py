"""print a session's events as they arrive, one line each"""  # noqa: D415 - it is the text of --help

import argparse
import json
import sys

from turnlog_client.client import Client
from turnlog_client.command.lines import event_line, width_of
from turnlog_client.protocol.readers import StreamOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", help="the id of the session")
    parser.add_argument("--after", help="begin after this sequence, or cursor (default: the beginning)")
    parser.add_argument("--types", help="only these types, for example 'run.*,message.complete'")
    parser.add_argument("--follow", action="store_true", help="continue with later turns, until Ctrl+C")
    parser.add_argument("--json", action="store_true", help="print whole events as JSON")


def run(parsed: argparse.Namespace) -> int:
    with Client(parsed.url, token=parsed.token, max_tries=1) as client:
        session = client.session(parsed.session)
        session.info()  # a stream would wait for a server that is away
        types = parsed.types.split(",") if parsed.types else ()
        for event in session.events(StreamOptions(after=parsed.after, follow=parsed.follow, types=types)):
            line = json.dumps(event.raw, ensure_ascii=False) if parsed.json else event_line(event, width_of(sys.stdout))
            print(line, flush=True)
    return 0
