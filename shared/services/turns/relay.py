"""Relaying a model's answer to the log: pieces come one by one, writes are few."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import chain, repeat

from shared.domain.values import size_of


class Relay:
    """Gathers pieces between writes: the first goes at once, later ones after growing pauses or enough bytes.

    Args:
        pauses_ms: the pauses between writes; the last one repeats.
        most_bytes: so much text is written before its pause is over.
    """

    def __init__(self, pauses_ms: Sequence[int], most_bytes: int) -> None:
        self._pauses = chain(pauses_ms, repeat(pauses_ms[-1]))
        self._most_bytes = most_bytes
        self._pieces: list[str] = []
        self._size = 0
        self._over = False
        self._woken = asyncio.Event()

    def stop(self) -> None:
        """Make `run` return soon, with what was gathered."""
        self._over = True
        self._woken.set()

    async def run(self, pieces: AsyncIterable[str], write: Callable[[str], Awaitable[bool]]) -> str:
        """Relay `pieces` to `write` until they end, `stop` is called, or `write` says no.

        Returns the text that was gathered and not written: it goes with the answer's last batch.
        Raises what reading `pieces` raises.
        """
        reading = asyncio.create_task(self._read(pieces))
        try:
            while await self._until_text():
                taken = self._taken()
                if not await write(taken):
                    self._pieces.insert(0, taken)  # it was said, and is written with the rest
                    break
                await self._pause(next(self._pauses) / 1000)
            if reading.done() and (error := reading.exception()) is not None:
                if self._pieces:  # what came before the break was said
                    await write(self._taken())
                raise error
        finally:
            reading.cancel()
            await asyncio.wait([reading])
        return self._taken()

    async def _read(self, pieces: AsyncIterable[str]) -> None:
        try:
            async for piece in pieces:
                self._pieces.append(piece)
                self._size += size_of(piece)
                self._woken.set()
        finally:
            self.stop()

    async def _until_text(self) -> bool:
        """Wait for text to write; False when the answer is over: its rest is not worth a write of its own."""
        while not self._pieces and not self._over:
            self._woken.clear()
            await self._woken.wait()
        return not self._over

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._over and self._size < self._most_bytes:
                    self._woken.clear()
                    await self._woken.wait()

    def _taken(self) -> str:
        text = "".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return text
