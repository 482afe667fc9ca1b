"""What `make run` starts: Core Tools with Azurite where they are installed, else the local host."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from local import host
from local.errors import HostError, RefusedError
from local.modelserver import ModelServer, use
from local.options import PLATFORM_SETTINGS, load_settings, name_account

_AZURITE = "azurite@3.37.0"
_FUNC_SETTINGS = {
    **PLATFORM_SETTINGS,
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "AzureWebJobsDisableHomepage": "true",
}


def main() -> None:
    """Serve by the host that HOST_MODE names: `func`, `local`, or by default the first that is there."""
    try:
        load_settings(Path())
        mode = os.environ.get("HOST_MODE") or ("func" if shutil.which("func") else "local")
        if mode != "local":
            sys.exit(_func(mode))
        host.main()
    except HostError as error:
        sys.exit(f"cannot start: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _func(mode: str) -> int:
    """Run Core Tools, with Azurite and, where no endpoint is set, the scripted model beside them, until they end."""
    if mode != "func":
        raise RefusedError(f"HOST_MODE must be func or local, not {mode!r}")
    for tool, source in (("func", "npm install -g azure-functions-core-tools@4"), ("npx", "Node.js")):
        if shutil.which(tool) is None:
            raise RefusedError(f"HOST_MODE=func needs {tool} on the PATH ({source}); HOST_MODE=local does without")
    for name, value in _FUNC_SETTINGS.items():
        os.environ.setdefault(name, value)
    name_account()
    data_dir = Path(os.environ.setdefault("DATA_DIR", str(Path(".data").resolve())))
    with ExitStack() as stack:
        if not os.environ.get("OPENAI_BASE_URL"):
            use(stack.enter_context(ModelServer()).wait())
        azurite = ["npx", "--yes", _AZURITE, "--silent", "--location", str(data_dir / "azurite")]
        storage = stack.enter_context(subprocess.Popen(azurite))  # noqa: S603  # nothing in it comes from outside
        stack.callback(storage.terminate)
        port = os.environ.get("PORT", "7071")
        return subprocess.call(["func", "start", "--port", port])  # noqa: S603, S607  # it listens on every address


if __name__ == "__main__":
    main()
