"""The lines that are typed, for a program on asyncio."""

import asyncio
import os
import threading
from typing import TextIO

_PIECE = 65536


class TypedLines:
    """Reads lines in a thread; `get` returns None at the end of the input.

    The thread reads from the descriptor: a reader of `sys.stdin` would hold a lock that the end of the process needs.
    """

    def __init__(self, stream: TextIO) -> None:
        self._lines = asyncio.Queue[str | None]()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(stream.fileno(),), daemon=True).start()

    async def get(self) -> str | None:
        """Return the next line."""
        return await self._lines.get()

    def _read(self, descriptor: int) -> None:
        rest = b""
        while data := os.read(descriptor, _PIECE):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._put(line)
        if rest:
            self._put(rest)
        self._put(None)

    def _put(self, line: bytes | None) -> None:
        text = None if line is None else line.decode("utf-8", "replace").rstrip("\r")
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lines.put_nowait, text)
