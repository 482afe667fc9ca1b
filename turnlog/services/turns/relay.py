"""Relaying a model's answer to the log: many small pieces, few writes."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import chain, repeat

from turnlog.domain.sizes import size_as_sent, size_of, truncate
from turnlog.domain.values import Piece

_MAX_WRITTEN_BYTES = 128 * 1024
"""What is written at once of an answer, as it is sent."""

_PIECE_BYTES = 512
"""What the event of a piece has beside its text."""


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
        self._pieces: list[Piece] = []
        self._size = 0
        self._is_over = False
        self._is_paused = False
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Make `run` return soon, with the pieces that are collected."""
        self._is_over = True
        self._go_on()

    async def run(
        self, pieces: AsyncIterable[Piece], write: Callable[[Sequence[Piece]], Awaitable[bool]]
    ) -> Sequence[Piece]:
        """Relay `pieces` to `write` until they end, `stop` is called, or `write` returns False.

        `write` gets one piece for each text that grew, and no more than fits into a batch. Returns what was collected
        and not written: it is part of the answer's last batches. Raises what reading `pieces` raises.
        """
        reading = asyncio.create_task(self._read(pieces))
        try:
            while await self._wait_for_pieces():
                joined = self._take()
                if not await write(joined):
                    self._pieces[:0] = joined  # they are part of the answer, and are written with the rest
                    break
                await self._pause(next(self._pauses) / 1000)
            if reading.done() and (error := reading.exception()) is not None:
                # What came before the error is part of the answer.
                while self._pieces and await write(self._take()):
                    pass
                raise error
        finally:
            reading.cancel()
            await asyncio.wait([reading])
        return _joined(self._pieces)

    async def _read(self, pieces: AsyncIterable[Piece]) -> None:
        try:
            async for piece in pieces:
                if self._only_text and piece.kind != "text":
                    continue
                self._pieces.append(piece)
                self._size += size_of(piece.text)
                if not self._is_paused or self._size >= self._max_bytes:
                    self._go_on()
        finally:
            self.stop()

    def _go_on(self) -> None:
        self._is_paused = False
        self._changed.set()

    async def _wait_for_pieces(self) -> bool:
        """Wait for pieces to write. False if the answer is over: its rest is part of the last batch."""
        while not self._pieces and not self._is_over:
            self._changed.clear()
            await self._changed.wait()
        return not self._is_over

    async def _pause(self, seconds: float) -> None:
        if self._is_over or self._size >= self._max_bytes:
            return
        self._is_paused = True
        self._changed.clear()
        # A timer instead of a timeout: most pauses end by it, and a timeout ends by cancelling the task.
        timer = asyncio.get_running_loop().call_later(seconds, self._go_on)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    def _take(self) -> Sequence[Piece]:
        joined, *rest = split_pieces(_joined(self._pieces))
        self._pieces[:] = [piece for group in rest for piece in group]
        self._size = sum(size_of(piece.text) for piece in self._pieces)
        return joined


def split_pieces(pieces: Sequence[Piece]) -> Sequence[Sequence[Piece]]:
    """`pieces` in groups, each of which fits into a batch."""
    groups, bytes_left = [list[Piece]()], _MAX_WRITTEN_BYTES
    for piece in pieces:
        rest = piece
        while True:
            text, is_cut = truncate(rest.text, bytes_left)
            if text or not is_cut:
                groups[-1].append(replace(rest, text=text))
            bytes_left -= size_as_sent(text) + _PIECE_BYTES
            if not is_cut:
                break
            rest = replace(rest, text=rest.text[len(text) :])
            groups.append([])
            bytes_left = _MAX_WRITTEN_BYTES
    return groups


def _joined(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """One piece for each text: the answer, the reasoning, and the arguments of each call, in the order they began."""
    texts: dict[tuple[str, int | None], list[Piece]] = {}
    for piece in pieces:
        texts.setdefault((piece.kind, piece.call), []).append(piece)
    return [replace(same[-1], text="".join(piece.text for piece in same)) for same in texts.values()]
