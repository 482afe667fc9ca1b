"""Starts the scripted model server, for when no model endpoint is set, as a child that dies with this process."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from local.errors import ModelServerError

DEFAULT_MODEL = "fake-60-30"
_SAYS = "listening on "
_COMMAND = [sys.executable, "-m", "local.model", "--port", "0", "--exit-on-stdin-eof"]


class ModelServer:
    """Runs from `with` to its end; it ends when its stdin does, a pipe that only this process holds: also by a kill."""

    def __enter__(self) -> Self:
        """Start it, without waiting for it to listen."""
        self._process = subprocess.Popen(  # noqa: S603 - nothing in the command comes from outside
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            start_new_session=True,  # Ctrl+C reaches it through its pipe, after the host has let go of it
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate()

    def wait(self) -> str:
        """Return its base URL as soon as it listens.

        Raises:
            ModelServerError: it ended instead.
        """
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        line = self._process.stdout.readline()
        if not line.startswith(_SAYS):
            raise ModelServerError(
                "the scripted model server (python -m local.model) ended; set OPENAI_BASE_URL instead"
            )
        return line.removeprefix(_SAYS).strip()


def use(url: str) -> None:
    """Make `url` the app's model endpoint; a key is needed for form's sake, and a model that it serves."""
    os.environ["OPENAI_BASE_URL"] = url
    for name, value in (("OPENAI_API_KEY", "unused"), ("MODEL", DEFAULT_MODEL)):
        os.environ[name] = os.environ.get(name) or value  # an empty one counts as not set
