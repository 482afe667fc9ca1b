"""print a session's whole log as lines of JSON"""  # noqa: D415 - it is the text of --help

import argparse

from turnlog_client.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", help="the id of the session")


def run(parsed: argparse.Namespace) -> int:
    with Client(parsed.url, token=parsed.token) as client:
        for line in client.session(parsed.session).export():
            print(line)
    return 0
