"""The commands `turnlog init` and `turnlog run`. The client's command `turnlog` finds them when this is installed."""

import argparse
import importlib.util
import sys
from pathlib import Path

from turnlog.local.errors import HostError


def init(arguments: list[str]) -> None:
    """Write a new Functions app, with an agent of its own, that runs here and deploys to Azure."""
    from turnlog.local.new_app import create_app  # noqa: PLC0415 - each command imports its own part

    parser = argparse.ArgumentParser(prog="turnlog init", description=init.__doc__)
    parser.add_argument("folder", type=Path, help="a new folder, for example my-agents")
    parser.add_argument("--wheel", type=Path, help="a wheel of turnlog that the app takes with it to Azure")
    parsed = parser.parse_args(arguments)
    try:
        create_app(parsed.folder, parsed.wheel)
    except HostError as error:
        sys.exit(f"turnlog init: {error}")
    print(f"created {parsed.folder}: its README.md says what is in it. Serve it with")
    print(f"  cd {parsed.folder} && turnlog run")


def run(arguments: list[str]) -> None:
    """Serve the Functions app in this folder, on one machine."""
    if importlib.util.find_spec("uvicorn") is None:
        sys.exit('turnlog run: what serves an app is not installed; run: pip install "turnlog[local]"')
    from turnlog.local.run import main  # noqa: PLC0415

    sys.argv[1:] = arguments
    main("turnlog run")
