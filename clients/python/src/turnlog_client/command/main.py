"""The entry of `turnlog`: arguments, the commands of other packages, and exit codes."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version

from turnlog_client.command import chat, export, tail, watch
from turnlog_client.errors import NetworkError, ProblemError, UnauthenticatedError
from turnlog_client.protocol.tries import checked_base

GROUP = "turnlog.commands"
"""The entry points of commands that other packages add: functions that take a list of arguments."""

REFUSED, UNREACHABLE, INTERRUPTED = 1, 3, 130
_OWN = (chat, watch, tail, export)
_EPILOG = """\
environment:
  TURNLOG_URL    the service, in place of --url
  TURNLOG_TOKEN  its bearer token, in place of --token
exit codes:
  0 done, 1 refused or failed, 2 wrong arguments, 3 the service can't be reached, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name, and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    added = _added_commands()
    if given and given[0] in added:
        added[given[0]].load()(given[1:])
        return
    sys.exit(_run(_parser(added).parse_args(given)))


def _run(parsed: argparse.Namespace) -> int:
    try:
        code = parsed.run(parsed)
        sys.stdout.flush()
    except UnauthenticatedError as error:
        return _fail(f"{error}: give a token with --token or TURNLOG_TOKEN", REFUSED)
    except ProblemError as error:
        return _fail(f"{error} ({error.code})", REFUSED)
    except NetworkError as error:
        hint = "start a server there (make run), or name another with --url or TURNLOG_URL"
        return _fail(f"no answer from {parsed.url}: {error}\n{hint}", UNREACHABLE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _fail(text: str, code: int) -> int:
    print(f"turnlog: {text}", file=sys.stderr)
    return code


def _parser(added: dict[str, EntryPoint]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turnlog",
        description="Durable agent sessions in the terminal.",
        epilog=_EPILOG + _added_help(added),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"turnlog-client {version('turnlog-client')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in _OWN:
        name = module.__name__.rpartition(".")[2]
        text = (module.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=text, description=text)
        _add_service(command)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _add_service(parser: argparse.ArgumentParser) -> None:
    url = os.environ.get("TURNLOG_URL") or "http://127.0.0.1:7071"
    token = os.environ.get("TURNLOG_TOKEN")
    parser.add_argument("--url", type=_url, default=url, help="the service (TURNLOG_URL, else http://127.0.0.1:7071)")
    parser.add_argument("--token", default=token, help="bearer token (better in TURNLOG_TOKEN: others see arguments)")


def _url(text: str) -> str:
    try:
        return checked_base(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as http://127.0.0.1:7071") from None


def _added_commands() -> dict[str, EntryPoint]:
    """Find the commands of other packages; they can't replace one of these."""
    own = {module.__name__.rpartition(".")[2] for module in _OWN}
    return {each.name: each for each in entry_points(group=GROUP) if each.name not in own}


def _added_help(added: dict[str, EntryPoint]) -> str:
    lines = [f"  {name:<14} of {each.dist.name if each.dist else 'another package'}" for name, each in added.items()]
    return "\n".join(["commands of other packages:", *sorted(lines)]) if lines else ""
