"""`make run`: serves the app with Core Tools and Azurite if Core Tools are installed, else with the local host."""

import os
import shutil
import sys
from pathlib import Path

from turnlog.local import core_tools
from turnlog.local.errors import HostError, RefusedError
from turnlog.local.host import entry
from turnlog.local.host.options import read_values


def main() -> None:
    """Serve with the host that HOST_MODE names, `func` or `local`; by default with the first that is installed."""
    try:
        match os.environ.get("HOST_MODE") or read_values(Path()).get("HOST_MODE") or _installed():
            case "func":
                sys.exit(core_tools.serve())
            case "local":
                entry.main()
            case mode:
                raise RefusedError(f"HOST_MODE must be func or local, not {mode!r}")
    except HostError as error:
        sys.exit(f"cannot start: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _installed() -> str:
    return "func" if shutil.which("func") else "local"


if __name__ == "__main__":
    main()
