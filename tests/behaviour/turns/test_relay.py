"""An answer reaches the log piece by piece: soon, in few writes, and each piece once.

Pauses here are zero or longer than any test: what has to happen at once happens at once, or the test hangs.
"""

import asyncio
import selectors
from collections.abc import AsyncGenerator, Awaitable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from turnlog.domain.values import Piece
from turnlog.services.turns.relay import Relay, split_pieces
from turnlog.timings import CLOUD

pytestmark = pytest.mark.anyio

NEVER = (10**9,)
AT_ONCE = (0,)


class Log:
    """Collects the writes; the model can wait for them."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.writes: list[str] = []
        self._refuses = refuses
        self._grown = asyncio.Condition()

    async def write(self, pieces: Sequence[Piece]) -> bool:
        async with self._grown:
            self.writes.append("".join(piece.text for piece in pieces))
            self._grown.notify_all()
        return not self._refuses

    async def has(self, writes: int) -> None:
        async with self._grown, asyncio.timeout(60):
            await self._grown.wait_for(lambda: len(self.writes) >= writes)


class Model:
    """Yields its pieces. A number among them makes it wait until the log has that many writes."""

    def __init__(self, log: Log, *script: str | int | Exception, hangs: bool = False) -> None:
        self._log = log
        self._script = script
        self._hangs = hangs
        self.silent = asyncio.Event()
        self.over = asyncio.Event()

    async def pieces(self) -> AsyncGenerator[Piece]:
        try:
            for part in self._script:
                match part:
                    case str():
                        yield Piece("text", part)
                    case int():
                        await self._log.has(part)
                    case _:
                        raise part
            self.silent.set()
            if self._hangs:
                await asyncio.Event().wait()
        finally:
            self.over.set()


async def text_of(running: Awaitable[Sequence[Piece]]) -> str:
    """The text that was not written."""
    return "".join(piece.text for piece in await running)


async def test_the_first_piece_is_written_at_once() -> None:
    log = Log()
    rest = await text_of(Relay(NEVER, 1000).run(Model(log, "a", 1).pieces(), log.write))

    assert (log.writes, rest) == (["a"], "")


async def test_pieces_that_arrive_during_a_pause_are_written_together_after_it() -> None:
    log = Log()
    rest = await text_of(Relay(AT_ONCE, 1000).run(Model(log, "a", 1, "b", "c", 2, "d").pieces(), log.write))

    assert (log.writes, rest) == (["a", "bc"], "d")


async def test_text_after_the_last_write_is_returned() -> None:
    log = Log()
    rest = await text_of(Relay(NEVER, 1000).run(Model(log, "a", 1, "b", "c").pieces(), log.write))

    assert (log.writes, rest) == (["a"], "bc")


@pytest.mark.parametrize("text", ["bcde", "éé"])
async def test_enough_bytes_are_written_before_the_pause_is_over(text: str) -> None:
    log = Log()
    rest = await text_of(Relay(NEVER, 4).run(Model(log, "a", 1, *text, 2).pieces(), log.write))

    assert (log.writes, rest) == (["a", text], "")


async def test_no_answer_is_no_write() -> None:
    log = Log()

    assert await text_of(Relay(AT_ONCE, 1).run(Model(log).pieces(), log.write)) == ""
    assert log.writes == []


async def test_a_stop_ends_a_silent_model_and_returns_its_text() -> None:
    log, relay = Log(), Relay(NEVER, 1000)
    model = Model(log, "a", 1, "b", hangs=True)
    running = asyncio.create_task(text_of(relay.run(model.pieces(), log.write)))
    await model.silent.wait()
    relay.stop()

    assert await running == "b"
    assert model.over.is_set()


async def test_a_stop_before_the_first_piece_ends_the_wait_for_it() -> None:
    log, relay = Log(), Relay(NEVER, 1000)
    model = Model(log, hangs=True)
    running = asyncio.create_task(text_of(relay.run(model.pieces(), log.write)))
    await model.silent.wait()
    relay.stop()

    assert (await running, log.writes) == ("", [])
    assert model.over.is_set()


async def test_a_refused_write_ends_the_model_and_its_text_is_returned() -> None:
    log = Log(refuses=True)
    model = Model(log, "a", hangs=True)

    assert await text_of(Relay(AT_ONCE, 1).run(model.pieces(), log.write)) == "a"
    assert log.writes == ["a"]
    assert model.over.is_set()


async def test_an_error_of_the_model_is_raised_after_its_text_is_written() -> None:
    log = Log()

    with pytest.raises(LookupError):
        await text_of(Relay(NEVER, 1000).run(Model(log, "a", 1, "b", "c", LookupError()).pieces(), log.write))
    assert log.writes == ["a", "bc"]


async def test_an_error_of_a_write_is_raised_and_ends_the_model() -> None:
    async def write(_: Sequence[Piece]) -> bool:
        raise LookupError

    model = Model(Log(), "a", hangs=True)
    with pytest.raises(LookupError):
        await text_of(Relay(AT_ONCE, 1).run(model.pieces(), write))

    assert model.over.is_set()


async def test_a_cancelled_relay_ends_the_model() -> None:
    log = Log()
    model = Model(log, "a", hangs=True)
    running = asyncio.create_task(text_of(Relay(NEVER, 1000).run(model.pieces(), log.write)))
    await log.has(1)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert model.over.is_set()


@settings(deadline=None)
@given(
    parts=st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5) | st.integers(0, 3)),
    pauses=st.sampled_from([NEVER, AT_ONCE, (0, 1, 10**9)]),
    max_bytes=st.integers(1, 12),
    slow=st.booleans(),
)
async def test_nothing_is_lost_or_repeated(
    parts: Sequence[str | int], pauses: Sequence[int], max_bytes: int, slow: bool
) -> None:
    expected = [part for part in parts if isinstance(part, str)]
    writes: list[str] = []

    async def pieces() -> AsyncGenerator[Piece]:
        for part in parts:
            if isinstance(part, str):
                yield Piece("text", part)
            else:
                for _ in range(part):
                    await asyncio.sleep(0)

    async def write(pieces: Sequence[Piece]) -> bool:
        if slow:
            await asyncio.sleep(0)
        writes.append("".join(piece.text for piece in pieces))
        return True

    rest = await text_of(Relay(pauses, max_bytes).run(pieces(), write))

    assert "".join([*writes, rest]) == "".join(expected)
    assert all(writes)


class Hurried(selectors.DefaultSelector):
    """Never waits, and adds up the time that would have passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.passed += timeout or 0.0
        return super().select(0)


class HurriedLoop(asyncio.SelectorEventLoop):
    """Every sleep ends at once, and the clock shows the time at which it should end."""

    def __init__(self) -> None:
        self._hurried = Hurried()
        super().__init__(self._hurried)

    def time(self) -> float:
        return self._hurried.passed


def test_a_thousand_tokens_in_twenty_seconds_are_at_most_45_cloud_writes() -> None:
    writes: list[str] = []

    async def answer() -> AsyncGenerator[Piece]:
        for _ in range(1000):
            yield Piece("text", "token ")
            await asyncio.sleep(0.02)

    async def write(pieces: Sequence[Piece]) -> bool:
        writes.append("".join(piece.text for piece in pieces))
        return True

    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        rest = runner.run(text_of(Relay(CLOUD.flush_ms, 4096).run(answer(), write)))

    assert "".join([*writes, rest]) == "token " * 1000
    assert 40 <= len(writes) <= 45


async def test_a_write_has_one_piece_for_each_text_in_the_order_in_which_they_began() -> None:
    async def answer() -> AsyncGenerator[Piece]:
        yield Piece("text", "Now")
        yield Piece("reasoning", "Hm")
        yield Piece("reasoning", "m")
        for text in ('{"x"', ":1}"):
            yield Piece("arguments", text, 0, "one")
            yield Piece("arguments", text, 1, "two")
        yield Piece("text", "Done")

    log = Log(refuses=True)
    rest = await Relay(NEVER, 1000).run(answer(), log.write)

    assert rest == [
        Piece("text", "NowDone"),
        Piece("reasoning", "Hmm"),
        Piece("arguments", '{"x":1}', 0, "one"),
        Piece("arguments", '{"x":1}', 1, "two"),
    ]


async def test_details_can_be_left_out() -> None:
    async def answer() -> AsyncGenerator[Piece]:
        yield Piece("reasoning", "Hm")
        yield Piece("arguments", "{}", 0, "one")
        yield Piece("text", "Done")

    rest = await Relay(NEVER, 1000, only_text=True).run(answer(), Log(refuses=True).write)

    assert rest == [Piece("text", "Done")]


@given(st.lists(st.integers(1, 150_000), min_size=1, max_size=8))
@example([128 * 1024 - 100, 5])
@settings(max_examples=30, deadline=None)
def test_pieces_are_split_without_loss_and_without_empty_ones(sizes: list[int]) -> None:
    pieces = [Piece("arguments", "x" * size, call) for call, size in enumerate(sizes)]

    groups = split_pieces(pieces)

    assert all(piece.text for group in groups for piece in group)
    texts = [
        "".join(piece.text for group in groups for piece in group if piece.call == call) for call in range(len(sizes))
    ]
    assert texts == [piece.text for piece in pieces]
    assert max(sum(len(piece.text) for piece in group) for group in groups) <= 128 * 1024
