"""Relaying a model's answer to the log: many small pieces, few writes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, repeat

from shared.domain.values import Piece, size_of

MAX_WRITE_BYTES = 128 * 1024
"""One write has at most this much text, of what may have been collected while the store was unavailable."""


class Relay:
    """Collects pieces between writes. The first is written at once, later ones after growing pauses or enough bytes.

    Args:
        pauses_ms: the pauses between writes; the last one repeats.
        max_bytes: this much text ends a pause early.
        only_text: relay neither reasoning nor the arguments of tool calls.
    """

    def __init__(self, pauses_ms: Sequence[int], max_bytes: int, *, only_text: bool = False) -> None:
        self._pauses = chain(pauses_ms, repeat(pauses_ms[-1]))
        self._max_bytes = max_bytes
        self._only_text = only_text
        self._pieces = deque[Piece]()
        self._size = 0
        self._is_over = False
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Make `run` return soon, with the pieces that are collected."""
        self._is_over = True
        self._changed.set()

    async def run(
        self, pieces: AsyncIterable[Piece], write: Callable[[Sequence[Piece]], Awaitable[bool]]
    ) -> Sequence[Piece]:
        """Relay `pieces` to `write` until they end, `stop` is called, or `write` returns False.

        `write` gets one piece for each text that grew. Returns what was collected and not written: it is part of the
        answer's last batch. Raises what reading `pieces` and `write` raise.
        """
        reading = asyncio.create_task(self._read(pieces))
        is_refused = False
        try:
            while not is_refused and await self._wait_for_pieces():
                is_refused = not await self._write_once(write)
                if not is_refused:
                    await self._pause(next(self._pauses) / 1000)
            error = reading.exception() if reading.done() else None
            # What came before an error is part of the answer. Otherwise the last piece is part of its last batch.
            while not is_refused and self._size > (MAX_WRITE_BYTES if error is None else 0):
                is_refused = not await self._write_once(write)
            if error is not None:
                raise error
        finally:
            reading.cancel()
            await asyncio.wait([reading])
        return _joined(self._take())

    async def _write_once(self, write: Callable[[Sequence[Piece]], Awaitable[bool]]) -> bool:
        """Whether `write` accepts the next pieces. If not, they are kept: they are part of the answer."""
        taken = self._take()
        if await write(_joined(taken)):
            return True
        self._pieces.extendleft(reversed(taken))
        self._size += sum(size_of(piece.text) for piece in taken)
        return False

    async def _read(self, pieces: AsyncIterable[Piece]) -> None:
        try:
            async for piece in pieces:
                if self._only_text and piece.kind != "text":
                    continue
                self._pieces.extend(_split(piece))
                self._size += size_of(piece.text)
                self._changed.set()
        finally:
            self.stop()

    async def _wait_for_pieces(self) -> bool:
        """Wait for pieces to write. False if the answer is over: its rest is part of the last batch."""
        while not self._pieces and not self._is_over:
            self._changed.clear()
            await self._changed.wait()
        return not self._is_over

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_over and self._size < self._max_bytes:
                    self._changed.clear()
                    await self._changed.wait()

    def _take(self) -> Sequence[Piece]:
        """Take as many pieces as one write may hold."""
        taken, size = list[Piece](), 0
        while self._pieces and size + (next_size := size_of(self._pieces[0].text)) <= MAX_WRITE_BYTES:
            taken.append(self._pieces.popleft())
            size += next_size
        self._size -= size
        return taken


def _split(piece: Piece) -> Iterator[Piece]:
    """`piece` in parts that are small enough for a write."""
    length = MAX_WRITE_BYTES // 4  # characters; each has up to four bytes
    if len(piece.text) <= length:
        yield piece
        return
    for start in range(0, len(piece.text), length):
        yield replace(piece, text=piece.text[start : start + length])


def _joined(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """One piece for each text: the answer, the reasoning, and the arguments of each call, in the order they began."""
    texts: dict[tuple[str, int | None], list[Piece]] = {}
    for piece in pieces:
        texts.setdefault((piece.kind, piece.call), []).append(piece)
    return [replace(same[-1], text="".join(piece.text for piece in same)) for same in texts.values()]
