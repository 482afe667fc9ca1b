"""The oracles: what must be true of every schedule, whatever was killed, frozen or lost."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.domain.factories import OWNER
from tests.simulation.attempt_oracles import check_attempts, check_calls
from tests.simulation.neighbours import known_part
from tests.simulation.project_oracles import check_projects
from tests.simulation.records import SessionRecord, TurnRecord, load_record, seconds
from tests.simulation.world import GAP_FREE, World
from turnlog.domain.chunks import Event
from turnlog.domain.content import content_text
from turnlog.domain.errors import MessageNotFoundError
from turnlog.domain.events import (
    MessageComplete,
    MessageQueued,
    RunComplete,
    RunStart,
    TokenUsage,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
)
from turnlog.domain.faults import fault_domain
from turnlog.domain.fold import fold
from turnlog.domain.ids import MessageId, public_id
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message, StepDocument, ToolResult
from turnlog.domain.values import Usage

ENDS = "every turn ends by its deadline"
NOTHING_AFTER_END = "nothing follows the end of a turn"
ACKNOWLEDGED = "no acknowledged message is lost"
READERS = "readers receive each event once"
DOCUMENTS = "documents equal the fold of the log"
_REPAIR_SECONDS = 120.0
"""Three sweeps in the cloud, and the time that their repairs take."""
DELETED = "what is deleted is gone"
EXPECTED = "nothing fails unexpectedly"
STRICT_ATTEMPTS = "a fault of the platform fails no turn"


async def check(world: World, sweeps: int) -> Counter[str]:
    """Check everything that is stored, and count what the schedule had."""
    counts = world.fleet.counts + Counter(world.network.counts)
    counts["sweeps"] = sweeps
    counts["model calls"] = len(world.observations.model_calls)
    counts["acknowledged messages"] = len(world.ledger.acknowledged)
    for error in (*world.observations.errors, *world.ledger.errors):
        world.report(EXPECTED, error)
    for session in (*world.sessions, *world.ledger.forks):
        record = await load_record(world, session)
        counts["events"] += len(record.events)
        counts["turns"] += sum(turn.end is not None for turn in record.turns.values())
        counts.update(_endings(record))
        if session in world.ledger.deleted or (record.state is not None and record.state.deleted):
            await _check_deleted(world, record)
        elif _has_gap(world, record):
            await _check_posts(world, record)
        elif record.state is not None:
            await _check_session(world, record, record.state)
    counts["reconnections"] = sum(reader.connections for reader in world.ledger.readers)
    await check_projects(world)
    return counts


def _endings(record: SessionRecord) -> list[str]:
    found: list[str] = []
    for turn in record.turns.values():
        if turn.end is not None:
            end = turn.end[1]
            found.append(f"end {end.status}{'' if end.error is None else ' ' + end.error.code}")
    return found


async def _check_deleted(world: World, record: SessionRecord) -> None:
    if record.state is not None and not record.state.deleted:
        world.report(DELETED, f"{record.session_id} was deleted and is there again")
    documents = await world.truth.log.find(Message, record.session_id, limit=1)
    if record.chunks or documents:
        world.report(DELETED, f"{record.session_id} was deleted and has {len(record.chunks)} chunks, {documents}")


def _has_gap(world: World, record: SessionRecord) -> bool:
    sequences = [event.sequence for event in record.events]
    gaps = [number for expected, number in enumerate(sequences, 1) if number != expected]
    if gaps:
        world.report(GAP_FREE, f"{record.session_id} has a gap before {gaps[0]}")
    return bool(gaps)


async def _check_session(world: World, record: SessionRecord, state: SessionState) -> None:
    folded = fold(None, record.chunks)
    if known_part(world, record.session_id, folded) != known_part(world, record.session_id, state):
        world.report(DOCUMENTS, f"the state of {record.session_id} is not the fold of its log")
    if state.active_turn is not None or state.queue:
        world.report(ENDS, f"{record.session_id} still has {state.active_turn or state.queue}")
    for turn in record.turns.values():
        _check_turn(world, turn)
        check_attempts(world, turn)
        await _check_message(world, record, turn)
    check_calls(world, record)
    await _check_posts(world, record)
    _check_readers(world, record)


def _check_turn(world: World, turn: TurnRecord) -> None:
    kinds = [event.type for event, _ in turn.events]
    count = Counter(kinds)
    if "run.start" not in count and "run.complete" not in count:
        return  # withdrawn before it began
    if (count["run.start"], count["run.complete"]) != (1, 1):
        world.report(ENDS, f"{turn.turn_id} has {count['run.start']} starts and {count['run.complete']} ends")
        return
    if kinds[-1] != "run.complete":
        after = kinds[kinds.index("run.complete") + 1 :]
        world.report(NOTHING_AFTER_END, f"{turn.turn_id}: {after}")
    _check_end(world, turn)


def _check_end(world: World, turn: TurnRecord) -> None:
    """The end is in time, a cancelled turn is cancelled, and no other code than expected failed it."""
    if turn.end is None or turn.last is None:
        return
    event, end = turn.end
    timings, timeout = world.settings.timings, world.settings.turn_timeout_seconds
    deadline = seconds(turn.last.running_since) + timeout
    silence = timings.begin_after.total_seconds() * 2 ** (turn.last.generation - turn.last.running_generation)
    limit = max(deadline, world.healed_at or 0.0) + 2 * silence + _REPAIR_SECONDS
    if seconds(event.timestamp) > limit:
        world.report(ENDS, f"{turn.turn_id} ended at {seconds(event.timestamp):.0f} s, its limit is {limit:.0f} s")
    if turn.turn_id in world.ledger.cancelled and end.status != "cancelled":
        world.report(ENDS, f"{turn.turn_id} was cancelled and has {end.status}")
    domain = None if end.error is None else fault_domain(end.error.code)
    error = timings.retry_pause.total_seconds() + 2 * world.profile.max_skew
    is_early = seconds(event.timestamp) < deadline - error
    is_poisoned = end.error is not None and end.error.code == "attempt_poisoned"
    if end.error and is_early and domain in {"platform", "store"} and not is_poisoned:
        world.report(STRICT_ATTEMPTS, f"{turn.turn_id} failed: {end.error.code}")


async def _check_message(world: World, record: SessionRecord, turn: TurnRecord) -> None:
    """The message, its responses and its tool results are those that the events describe."""
    if turn.end is None or not any(isinstance(event.data, RunStart) for event, _ in turn.events):
        return
    try:
        message = await world.truth.messages.get(OWNER, turn.message_id)
    except MessageNotFoundError:
        world.report(DOCUMENTS, f"{turn.message_id} has events and no document")
        return
    data = [event.data for event, _ in turn.events]
    completes = [each for each in data if isinstance(each, MessageComplete)]
    ends = [each for each in data if isinstance(each, RunComplete)]
    used = [Usage(**_tokens(each)) for each in data if isinstance(each, TokenUsage)]
    usage = sum(used, Usage())
    if (message.status, message.error) != (ends[0].status, ends[0].error):
        world.report(DOCUMENTS, f"{turn.message_id} is {message.status}, its turn {ends[0].status}")
    is_copied = record.state is not None and record.state.is_copied(turn.end[0].sequence)
    # The tokens of a copied turn belong to the source of the fork.
    if not is_copied and (message.usage != usage or ends[0].usage != usage.model_dump()):
        world.report(DOCUMENTS, f"{turn.message_id} used {message.usage}, its events {usage}")
    texts = [await _text(world, record, each) for each in completes]
    if any(each.truncated for each in completes):
        return  # the response still has what was cut off
    if message.answer != next((text for text in reversed(texts) if text), None):
        world.report(DOCUMENTS, f"{turn.message_id} answers {message.answer!r}, its events {texts}")
    responses = await world.truth.messages.responses(message)
    written = [response["choices"][0]["message"]["content"] or "" for response in responses]
    if written != texts:
        world.report(DOCUMENTS, f"{turn.message_id} has the responses {written}, its events {texts}")
    await _check_tool_results(world, record, turn)


async def _text(world: World, record: SessionRecord, complete: MessageComplete) -> str:
    if complete.overflow is None:
        return complete.text
    found = await world.truth.log.get(StepDocument, record.session_id, complete.overflow)
    return "" if found is None else found.step.text


async def _check_tool_results(world: World, record: SessionRecord, turn: TurnRecord) -> None:
    answered = Counter[str]()
    for event, _ in turn.events:
        if not isinstance(event.data, ToolCallComplete):
            continue
        complete = event.data
        answered[complete.id] += 1
        result = await world.truth.log.get(ToolResult, record.session_id, complete.id)
        if result is None or result.outcome.status != complete.status:
            world.report(DOCUMENTS, f"{complete.id} is {complete.status}, its document {result}")
        elif complete.overflow is None and result.outcome.response != complete.response:
            world.report(DOCUMENTS, f"{complete.id} has another response than its document")
    twice = [call for call, count in answered.items() if count > 1]
    if twice:
        world.report(NOTHING_AFTER_END, f"{turn.turn_id} has answered twice: {twice}")
    asked = {event.data.id for event, _ in turn.events if isinstance(event.data, ToolCallStart)}
    if not asked <= answered.keys():
        world.report(NOTHING_AFTER_END, f"{turn.turn_id} leaves calls open: {asked - answered.keys()}")


async def _check_posts(world: World, record: SessionRecord) -> None:
    """Each acknowledged message is there once, and is not waiting any more."""
    contents: dict[str, set[MessageId]] = {}
    for event in record.events:
        if isinstance(event.data, UserMessage | MessageQueued) and event.message_id is not None:
            contents.setdefault(content_text(event.data.content), set()).add(event.message_id)
    for session, content in world.ledger.contents:
        if session == record.session_id and len(contents.get(content, ())) > 1:
            world.report(ACKNOWLEDGED, f"{content!r} was posted once and is there {len(contents[content])} times")
    for message_id, content in world.ledger.acknowledged.items():
        if not message_id.endswith(f"_{public_id(record.session_id)}"):
            continue
        if contents.get(content) != {message_id}:
            world.report(ACKNOWLEDGED, f"{message_id} ({content!r}) is not in the log")
            continue
        message = None if record.state is None else await world.truth.messages.load(record.state, message_id)
        if message is not None and message.status in {"queued", "running", "requires_action"}:
            world.report(ACKNOWLEDGED, f"{message_id} is still {message.status}")


def _check_readers(world: World, record: SessionRecord) -> None:
    for reader in world.ledger.readers:
        if reader.session != record.session_id:
            continue
        received = [event.sequence for event in reader.received]
        expected = list(range(1, len(record.events) + 1))
        if received != expected:
            missing = sorted(set(expected) - set(received))
            repeated = [sequence for sequence, count in Counter(received).items() if count > 1]
            world.report(READERS, f"{record.session_id}: missing {missing[:5]}, repeated {repeated[:5]}")
        elif _known_parts(world, record, reader.received) != _known_parts(world, record, record.events):
            world.report(READERS, f"{record.session_id}: another event than the stored one")


def _known_parts(world: World, record: SessionRecord, events: Sequence[Event]) -> list[Any]:
    return [known_part(world, record.session_id, event) for event in events]


def _tokens(used: TokenUsage) -> dict[str, int]:
    return {name: getattr(used, name) for name in Usage.model_fields}
