"""Whatever a model writes and tools return, every turn ends, and readers see what its message says."""

import logging
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.large_turns import AGENT, OWNER, Answer, Call, LargeTurns, arguments_of
from turnlog.agents.registry import AGENTS
from turnlog.domain.chunks import Event
from turnlog.domain.events import MessageComplete, MessageDelta, ToolCallComplete, ToolCallStart
from turnlog.domain.stored_documents import Message, Step
from turnlog.domain.values import MAX_TOOL_CALLS
from turnlog.services.log.large_texts import load_texts
from turnlog.stores import Stores

pytestmark = pytest.mark.anyio

on_a_store = settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

PATTERNS = ("x", '"', "\\", "\n", "\x01", "é", "😀", 'a "quoted" line\n', "\x00\x7f\t€ ")
SIZES = (0, 1, 900, 20_000, 70_000, 300_000, 700_000)


@st.composite
def large_texts(draw: st.DrawFn, sizes: Sequence[int] = SIZES) -> str:
    pattern = draw(st.sampled_from(PATTERNS))
    return pattern * (draw(st.sampled_from(sizes)) // len(pattern))


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """An answer with no tool calls, with a few large ones, or with up to 100 that are smaller."""
    count = draw(st.sampled_from((0, 1, 3, 65, 100)))
    sizes = (0, 400_000, 1_200_000) if count <= 3 else (0, 1_000, 12_000)
    calls = list[Call]()
    for text in draw(st.lists(large_texts(sizes), min_size=min(count, 3), max_size=min(count, 3))):
        name = draw(st.sampled_from(("repeat", "approve_me", "ask", "unknown")))
        arguments = draw(st.sampled_from((arguments_of(text=text), text)))
        if name == "repeat" and count <= 3 and draw(st.booleans()):
            arguments = arguments_of(text=text[:1000], times=1000)  # a large result
        calls.append(Call(name, arguments))
    calls = [calls[number % len(calls)] for number in range(count)]
    stops_after = draw(st.sampled_from((None, None, 0, 1, 5, 40)))
    return Answer(draw(large_texts()), draw(large_texts()), calls, stops_after)


@pytest.fixture
async def turns(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> LargeTurns:
    monkeypatch.setitem(AGENTS, "large", AGENT)
    return LargeTurns(stores)


async def events_of(turns: LargeTurns, message: Message) -> Sequence[Event]:
    """The events of the message's session as readers see them."""
    found = list[Event]()
    while chunks := await turns.log.read(message.session_id, found[-1].sequence if found else 0, 1000):
        stored = [event for chunk in chunks for event in chunk.events]
        found += await load_texts(turns.log, message.session_id, stored)
    return found


async def check_ended(turns: LargeTurns, message: Message) -> None:
    """Check that the turn ended, and that all views of it agree."""
    state = await turns.sessions.get(OWNER, message.session_id)
    assert (state.active_turn, state.status) == (None, "finished")
    assert message.status in {"completed", "cancelled", "failed"}
    page = await turns.messages.list(OWNER, message.session_id, after=None, limit=10, newest=True)
    assert page.messages == [message]
    events = await events_of(turns, message)
    completions = [event.data for event in events if isinstance(event.data, MessageComplete)]
    assert [completion.step for completion in completions] == list(range(1, message.step_count + 1))
    for completion, step in zip(completions, message.steps, strict=True):
        _check_texts(events, completion, step)
        await _check_calls(turns, message, events, step)
    for response, step in zip(await turns.messages.responses(message), message.steps, strict=True):
        assert (response["choices"][0]["message"]["content"] or "") == step.text


def _check_texts(events: Sequence[Event], completion: MessageComplete, step: Step) -> None:
    deltas = [event.data for event in events if isinstance(event.data, MessageDelta)]
    streamed = "".join(delta.text for delta in deltas if delta.step == completion.step)
    assert (completion.text, completion.truncated) == (step.text, step.truncated)
    assert streamed.startswith(step.text)
    assert step.truncated or streamed == step.text


async def _check_calls(turns: LargeTurns, message: Message, events: Sequence[Event], step: Step) -> None:
    """Check that each call of the step is answered once, everywhere with the same arguments and the same outcome."""
    for call in step.tool_calls:
        starts = [event.data for event in events if isinstance(event.data, ToolCallStart) and event.data.id == call.id]
        (answer,) = [
            event.data for event in events if isinstance(event.data, ToolCallComplete) and event.data.id == call.id
        ]
        result = await turns.messages.tool_result(OWNER, message.session_id, call.id)
        assert {each.arguments for each in [*starts, answer, result]} == {call.arguments}
        assert (answer.status, answer.truncated) == (result.outcome.status, result.outcome.truncated)
        assert answer.overflow is not None or answer.response == result.outcome.response
        if call.refused is not None:
            assert (result.outcome.status, result.outcome.response) in (
                ("failed", {"error": call.refused}),
                ("cancelled", {"error": "The call was cancelled before it was answered."}),
                ("denied", {"error": "The call was denied: expired"}),
            )
    for call in step.tool_calls[MAX_TOOL_CALLS:]:
        assert call.refused is not None


@on_a_store
@given(
    written=st.lists(answers(), min_size=1, max_size=2),
    cancels_after_tools=st.sampled_from((None, None, 0, 1, 50)),
    decides=st.sampled_from((0, 1, 100)),
)
async def test_every_large_turn_ends_and_is_read_as_it_is_stored(
    turns: LargeTurns,
    caplog: pytest.LogCaptureFixture,
    written: Sequence[Answer],
    cancels_after_tools: int | None,
    decides: int,
) -> None:
    message = await turns.begin(*written)

    with caplog.at_level(logging.ERROR):
        ended = await turns.run(message, cancels_after_tools=cancels_after_tools, decides=decides)

    await check_ended(turns, ended)
    assert "is too large" not in caplog.text
