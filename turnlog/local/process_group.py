"""Runs a command in its own process group, and ends the whole group: in order, or together with this process.

Core Tools and npx start processes that outlive them if only they are ended. So each runs under a *keeper*
(`python -m turnlog.local.process_group`), which

- asks the command to stop when the keeper gets SIGTERM, and waits until no process of the group is left;
- ends the processes that an ended command left in its group;
- kills the group at a second SIGTERM, when the command takes too long, or when the process that started it is gone.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

STOP_SECONDS = 60.0
"""How long a command may take to stop: more than the 30 s that the Functions host gives to open requests."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_COMMAND, _ALL = "command", "all"  # which processes get the first signal
_POLL_SECONDS = 0.1
_REST_SECONDS = 5.0  # for the processes that an ended command left in its group


class ProcessGroup:
    """A command with every process that it starts, from `with` to its end."""

    def __init__(
        self, command: list[str], environment: dict[str, str] | None = None, *, signal_all: bool = False
    ) -> None:
        """Prepare `command`.

        Only the command is asked to stop, by SIGINT, as by Ctrl+C. With `signal_all` each process of its group gets
        SIGTERM instead.
        """
        self._command = [_ALL if signal_all else _COMMAND, *command]
        self._environment = environment
        self._is_stopping = False

    def __enter__(self) -> Self:
        self._keeper = subprocess.Popen(  # noqa: S603 - no part of the command comes from outside
            [sys.executable, "-m", "turnlog.local.process_group", *self._command],
            env=self._environment,
            stdin=subprocess.PIPE,  # its other end closes with this process, also at `kill -9`
            start_new_session=True,  # Ctrl+C in a terminal reaches only this process
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the command if it runs, and wait until no process of its group is left."""
        if not self._is_stopping:
            self.stop()
        self._keeper.wait()
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()

    def poll(self) -> int | None:
        """Return the command's exit code, or None while a process of the group runs."""
        return self._keeper.poll()

    def stop(self) -> None:
        """Ask the command to stop; a second time, kill the group. This does not wait."""
        self._is_stopping = True
        self._keeper.terminate()


class _Keeper:
    """Starts the command and ends its group."""

    def __init__(self, receiver: str, command: list[str]) -> None:
        self._receiver = receiver
        self._stops = 0
        self._deadline = float("inf")
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _adopt_orphans()
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
        threading.Thread(target=self._kill_with_parent, daemon=True).start()

    def run(self) -> int:
        """Wait for the command, then for the rest of its group; return the command's exit code."""
        self._wait_until(lambda: self._process.poll() is not None)
        if self._has_members():
            self._signal_group(signal.SIGTERM)
            if not self._stops:
                self._deadline = time.monotonic() + _REST_SECONDS
            self._wait_until(lambda: not self._has_members())
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def _wait_until(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            if time.monotonic() > self._deadline:
                self._signal_group(signal.SIGKILL)
                return
            time.sleep(_POLL_SECONDS)

    def _on_signal(self, *_: object) -> None:
        self._stops += 1
        if self._stops == 1:
            self._deadline = time.monotonic() + STOP_SECONDS
            if self._receiver == _ALL:
                self._signal_group(signal.SIGTERM)
            else:
                self._process.send_signal(signal.SIGINT)
        else:
            self._deadline = 0.0

    def _kill_with_parent(self) -> None:
        os.read(sys.stdin.fileno(), 1)  # nothing is written to it: this returns when it closes
        self._signal_group(signal.SIGKILL)

    def _has_members(self) -> bool:
        """Return whether a process of the group is left, after the command has ended."""
        with suppress(ChildProcessError):
            while os.waitpid(-self._process.pid, os.WNOHANG) != (0, 0):
                pass
        return self._signal_group(0)

    def _signal_group(self, number: int) -> bool:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True


def _adopt_orphans() -> None:
    """Become the parent of the processes that the command leaves: not every process 1 reaps ended ones soon."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(_Keeper(sys.argv[1], sys.argv[2:]).run())
