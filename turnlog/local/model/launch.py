"""Starts the scripted model server, if no model endpoint is set, as a child process that ends with this process."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from turnlog.local.errors import ModelServerError

DEFAULT_MODEL = "fake-60-30"
LISTENING_ON = "listening on "
"""What the server prints before its base URL, as soon as it listens."""

_COMMAND = [sys.executable, "-m", "turnlog.local.model", "--port", "0", "--exit-on-stdin-eof"]


class ModelServer:
    """Runs from `with` to its end; a kill of this process ends it also, because only this process holds its stdin."""

    def __enter__(self) -> Self:
        """Start it, without waiting for it to listen."""
        self._process = subprocess.Popen(  # noqa: S603 - no part of the command comes from outside
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            start_new_session=True,  # Ctrl+C does not reach it; it ends after the host
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
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line.startswith(LISTENING_ON):
            raise ModelServerError(
                "the scripted model server (python -m turnlog.local.model) ended; set OPENAI_BASE_URL instead"
            )
        return line.removeprefix(LISTENING_ON).strip()


def use_scripted_model(url: str) -> None:
    """Make `url` the app's model endpoint, with any key and a model that it serves, unless these are set."""
    os.environ["OPENAI_BASE_URL"] = url
    for name, value in (("OPENAI_API_KEY", "unused"), ("MODEL", DEFAULT_MODEL)):
        os.environ[name] = os.environ.get(name) or value  # empty counts as not set
