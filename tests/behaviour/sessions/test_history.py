"""Pages of a log lose and repeat nothing, with any filter and with joined deltas."""

from collections.abc import AsyncGenerator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.factories import append_events, create_session
from turnlog.domain.events import (
    EventData,
    MessageComplete,
    MessageDelta,
    MessageStart,
    Outside,
    ReasoningDelta,
    RunComplete,
    RunStart,
    ToolCallDelta,
    UserMessage,
)
from turnlog.domain.history import Entry
from turnlog.domain.ids import MessageId, SessionId, TurnId
from turnlog.ports import SessionLog
from turnlog.services import history
from turnlog.services.history import EventPage, History, PageQuery
from turnlog.stores import sqlite

pytestmark = pytest.mark.anyio

OUTSIDE = Outside(event_type="x")
END = RunComplete(status="completed", steps=1, usage={}, duration_ms=1, model="fake")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncGenerator[SessionLog]:
    log = sqlite.open_stores(tmp_path / "sessions.db").log
    yield log
    await log.close()


def start(attempt: int = 1, step: int = 1) -> MessageStart:
    return MessageStart(step=step, attempt=attempt)


def delta(text: str, attempt: int = 1, step: int = 1) -> MessageDelta:
    return MessageDelta(step=step, attempt=attempt, text=text)


def complete(text: str, attempt: int = 1, step: int = 1) -> MessageComplete:
    return MessageComplete(step=step, attempt=attempt, text=text)


async def new_log(log: SessionLog, *data: EventData) -> SessionId:
    """Create a session with a turn, and append a chunk for each of `data`."""
    state = await create_session(log, SessionId(f"ses_{uuid4().hex}"))
    state = await append_events(log, state, UserMessage(content="Hello"), RunStart(agent="assistant", model="fake"))
    for item in data:
        state = await append_events(log, state, item)
    return state.session_id


async def pages(log: SessionLog, session: SessionId, **wanted: Any) -> list[EventPage]:
    """All pages of a listing, each from the cursor of the one before."""
    found: list[EventPage] = []
    cursor = None
    while not found or cursor is not None:
        start_at: dict[str, Any] = {} if cursor is None else {"before" if wanted.get("newest") else "after": cursor}
        found.append(await History(log).page("owner", session, PageQuery(**{**wanted, **start_at})))
        assert cursor is None or found[-1].next_cursor != cursor, "the cursor does not advance"
        cursor = found[-1].next_cursor
    return found


async def list_entries(log: SessionLog, session: SessionId, **wanted: Any) -> list[Any]:
    """The entries of all pages of the turn: deltas as sequences and text, others as their type."""
    return [_short(entry) for page in await pages(log, session, after=3, **wanted) for entry in page.entries]


def _short(entry: Entry) -> Any:
    data = entry.event.data
    if isinstance(data, MessageDelta):
        return (entry.first_sequence, entry.event.sequence, data.text)
    return entry.event.type


async def test_deltas_are_joined_per_step_and_attempt(log: SessionLog) -> None:
    session = await new_log(
        log, start(), delta("a"), delta("b"), complete("ab"), start(step=2), delta("c", step=2), delta("d", step=2)
    )

    steps = ["message.start", (5, 6, "ab"), "message.complete", "message.start", (9, 10, "cd")]
    assert await list_entries(log, session) == steps
    assert await list_entries(log, session, newest=True) == steps[::-1]


async def test_a_listing_without_coalesce_shows_the_log_unchanged(log: SessionLog) -> None:
    session = await new_log(log, start(), delta("a"), start(2), delta("b", 2))

    listing = ["message.start", (None, 5, "a"), "message.start", (None, 7, "b")]
    assert await list_entries(log, session, coalesce=False) == listing
    assert await list_entries(log, session, coalesce=False, newest=True) == listing[::-1]


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 9])
@pytest.mark.parametrize("ends", [True, False])
async def test_void_attempts_are_left_out_with_any_page_size(
    log: SessionLog, *, newest: bool, limit: int, ends: bool
) -> None:
    attempts = [start(), delta("a"), OUTSIDE, delta("b"), start(2), delta("c", 2), start(3), delta("d", 3)]
    session = await new_log(log, *attempts, delta("e", 3), *((complete("de", 3), END) if ends else ()))

    listing = await list_entries(log, session, newest=newest, limit=limit)

    whole: list[Any] = ["x", "message.start", (11, 12, "de"), *(("message.complete", "run.complete") if ends else ())]
    assert listing == (whole[::-1] if newest else whole)


@pytest.mark.parametrize("before", range(5, 14))
async def test_an_attempt_is_void_even_if_the_reason_is_after_the_window(log: SessionLog, before: int) -> None:
    session = await new_log(
        log, start(), delta("a"), delta("b"), OUTSIDE, OUTSIDE, OUTSIDE, start(2), delta("c", 2), complete("c", 2)
    )

    for newest in (False, True):
        listing = await list_entries(log, session, before=before, newest=newest)
        assert all(entry == "x" or before > 10 for entry in listing)


async def test_interrupted_deltas_are_joined_to_one(log: SessionLog) -> None:
    session = await new_log(log, start(), delta("a"), OUTSIDE, delta("b"), OUTSIDE, delta("c"))

    assert await list_entries(log, session) == ["message.start", "x", "x", (5, 9, "abc")]
    assert await list_entries(log, session, newest=True) == [(5, 9, "abc"), "x", "x", "message.start"]
    assert await list_entries(log, session, limit=1) == [
        "message.start",
        (5, 5, "a"),
        "x",
        (7, 7, "b"),
        "x",
        (9, 9, "c"),
    ]
    assert await list_entries(log, session, types=("message.delta",)) == [(5, 9, "abc")]


async def test_reasoning_and_each_call_are_joined_apart_and_void_with_their_attempt(log: SessionLog) -> None:
    def attempt(number: int) -> list[EventData]:
        def thought(text: str) -> ReasoningDelta:
            return ReasoningDelta(step=1, attempt=number, text=text)

        def argued(call: str, arguments: str) -> ToolCallDelta:
            return ToolCallDelta(id=call, step=1, attempt=number, name="t", arguments=arguments)

        calls = [argued("a", "{"), argued("b", "["), argued("a", "}"), argued("b", "]")]
        return [start(number), thought("Hm"), delta("x", number), thought("m"), *calls]

    session = await new_log(log, *attempt(1), *attempt(2))

    entries = [entry.event.data for (page,) in [await pages(log, session, after=4)] for entry in page.entries]

    assert entries == [
        start(2),
        delta("x", 2),
        ReasoningDelta(step=1, attempt=2, text="Hmm"),
        ToolCallDelta(id="a", step=1, attempt=2, name="t", arguments="{}"),
        ToolCallDelta(id="b", step=1, attempt=2, name="t", arguments="[]"),
    ]


@pytest.mark.parametrize("newest", [False, True])
async def test_pages_that_end_because_of_large_texts_lose_and_repeat_nothing(log: SessionLog, newest: bool) -> None:
    large = UserMessage(content="p" * 400_000)
    session = await new_log(log, start(), *(each for number in range(7) for each in (delta(str(number)), large)))

    found = await pages(log, session, after=4, newest=newest)

    assert [sum(entry.event.type == "user_message" for entry in page.entries) for page in found] == [2, 2, 2, 1]
    covered = sorted(
        sequence
        for page in found
        for entry in page.entries
        if entry.event.type == "message.delta"
        for sequence in range(entry.first_sequence or entry.event.sequence, entry.event.sequence + 1, 2)
    )
    assert covered == list(range(5, 19, 2))


async def test_the_next_page_continues_a_running_step_where_the_page_ended(log: SessionLog) -> None:
    session = await new_log(log, start(), delta("a"), delta("b"))
    (page,) = await pages(log, session, after=4)
    state = await log.state(session)
    assert state is not None
    await append_events(log, state, delta("c"))

    assert [_short(entry) for entry in page.entries] == [(5, 6, "ab")]
    (following,) = await pages(log, session, after=page.entries[-1].event.sequence)
    assert [_short(entry) for entry in following.entries] == [(7, 7, "c")]


async def test_imitations_from_outside_are_neither_joined_nor_void(log: SessionLog) -> None:
    imitations = [
        Outside(event_type=event_type, fields={"step": 1, "attempt": 9, "text": "no"})
        for event_type in ("message.start", "message.delta", "message.delta", "message.complete")
    ]
    session = await new_log(log, start(), delta("a"), *imitations, delta("b"))

    expected = ["message.start", "message.start", "message.delta", "message.delta", "message.complete", (5, 10, "ab")]
    assert [entry if isinstance(entry, tuple) else str(entry) for entry in await list_entries(log, session)] == expected


async def test_a_filtered_listing_skips_events_without_losing_its_cursor(log: SessionLog) -> None:
    data: list[EventData] = [*(delta(str(number)) for number in range(40)), OUTSIDE]
    session = await new_log(log, *data, *data, *data)

    first, second, third = await pages(log, session, types=("x",), limit=1)

    assert [first.next_cursor, second.next_cursor, third.next_cursor] == [84, 125, None]
    assert [len(page.entries) for page in (first, second, third)] == [1, 1, 1]


async def test_a_page_ends_after_a_maximum_of_events_and_the_next_continues(
    log: SessionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_MAX_EVENTS_READ", 10)
    session = await new_log(log, start(), *(delta(str(number % 10)) for number in range(25)), complete(""), END)

    found = await pages(log, session, after=4, types=("message.delta",), limit=3)
    assert [_short(entry) for page in found for entry in page.entries] == [
        (5, 14, "0123456789"),
        (15, 24, "0123456789"),
        (25, 29, "01234"),
    ]
    (runs,) = await pages(log, session, types=("run.*",), newest=True)
    assert [entry.event.type for entry in runs.entries] == ["run.complete", "run.start"]


async def test_a_window_without_events_is_empty(log: SessionLog) -> None:
    session = await new_log(log, OUTSIDE)

    for window in ({"after": 4}, {"before": 1}, {"after": 2, "before": 3}, {"after": 99}, {"before": 0}):
        for newest in (False, True):
            (page,) = await pages(log, session, newest=newest, **window)
            assert (page.entries, page.next_cursor, page.head) == ([], None, 4)


_pieces = st.lists(st.one_of(st.text("abc", max_size=2), st.none()), max_size=5)
_steps = st.lists(st.lists(_pieces, min_size=1, max_size=3), min_size=1, max_size=3)


def _turn_events(steps: Sequence[Sequence[Sequence[str | None]]], *, ends: bool) -> list[EventData]:
    """A turn of these steps. Each has attempts, and the last one is completed. For None there is an outside event."""
    data: list[EventData] = []
    for step, attempts in enumerate(steps, start=1):
        for attempt, pieces in enumerate(attempts, start=1):
            data.append(start(attempt, step))
            data += [OUTSIDE if piece is None else delta(piece, attempt, step) for piece in pieces]
        data.append(complete("all", len(attempts), step))
    return [*data, END] if ends else data[:-1]


async def _append_in_chunks(log: SessionLog, data: Sequence[EventData], sizes: Sequence[int]) -> SessionId:
    session = SessionId(f"ses_{uuid4().hex}")
    state = await create_session(log, session)
    state = await append_events(log, state, RunStart(agent="assistant", model="fake"))
    left, size = list(data), cycle(sizes)
    while left:
        count = next(size)
        state = await append_events(log, state, *left[:count])
        left = left[count:]
    return session


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=_steps,
    ends=st.booleans(),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    limit=st.integers(1, 5),
    newest=st.booleans(),
    coalesce=st.booleans(),
    types=st.sampled_from([(), ("message.delta",), ("x", "message.s*"), ("nothing",), ("message.*",)]),
    max_read=st.integers(1, 12),
)
async def test_all_pages_together_equal_one_large_page(
    log: SessionLog,
    steps: Sequence[Sequence[Sequence[str | None]]],
    *,
    sizes: Sequence[int],
    limit: int,
    max_read: int,
    types: tuple[str, ...],
    ends: bool,
    newest: bool,
    coalesce: bool,
) -> None:
    session = await _append_in_chunks(log, _turn_events(steps, ends=ends), sizes)
    wanted = {"types": types, "coalesce": coalesce, "newest": newest}
    (whole,) = await pages(log, session, limit=1000, **wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "_MAX_EVENTS_READ", max_read)
        parts = await pages(log, session, limit=limit, **wanted)

    assert all(len(page.entries) <= limit for page in parts)
    entries = [entry for page in parts for entry in page.entries]
    sequences = [entry.event.sequence for entry in entries]
    assert len(set(sequences)) == len(sequences)
    assert _texts(entries) == _texts(whole.entries)
    others = [[each.event for each in found if each.first_sequence is None] for found in (entries, whole.entries)]
    assert others[0] == others[1]


def _texts(entries: Sequence[Entry]) -> dict[tuple[TurnId | None, MessageId | None, int, int], str]:
    """The text of each attempt, its parts in order."""
    texts: dict[tuple[TurnId | None, MessageId | None, int, int], str] = {}
    for event in sorted((entry.event for entry in entries), key=lambda event: event.sequence):
        if isinstance(event.data, MessageDelta):
            key = (event.turn_id, event.message_id, event.data.step, event.data.attempt)
            texts[key] = texts.get(key, "") + event.data.text
    return texts
