"""Steps of messages: they are documents of their own, read only where there are any."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from turnlog.domain.actions import with_arguments
from turnlog.domain.ids import MessageId, SessionId
from turnlog.domain.pages import MAX_RESPONSE_BYTES
from turnlog.domain.session import Action, ActiveTurn, SessionState
from turnlog.domain.stored_documents import Message, Step, StepDocument, step_id
from turnlog.ports import Documents

_MAX_POINT_READS = 3
"""Up to so many steps of a message are read by their ids, which is cheaper than a query."""


async def find_step(documents: Documents, message: Message, number: int) -> Step | None:
    """A step of the message's turn; None if it is not recorded."""
    found = await documents.get(StepDocument, message.session_id, step_id(message.message_id, number))
    return None if found is None else found.step


async def load_step(documents: Documents, message: Message, number: int) -> Step:
    """A step of the message's turn. Raises ValueError: it is not recorded."""
    return (await load_step_document(documents, message.session_id, message.message_id, number)).step


async def load_step_document(
    documents: Documents, session_id: SessionId, message_id: MessageId, number: int
) -> StepDocument:
    """The document of a step. Raises ValueError: it is not recorded."""
    found = await documents.get(StepDocument, session_id, step_id(message_id, number))
    if found is None:
        raise ValueError(f"session {session_id}: step {number} of {message_id} is missing")
    return found


async def load_steps(documents: Documents, state: SessionState, messages: Sequence[Message]) -> Sequence[Message]:
    """`messages` with their steps.

    They are in the order of their sequences, and with those between them that have steps. `state` says which steps the
    running turn has; it was read before them.
    """
    having = [message for message in messages if count_steps(message, state.active_turn)]
    if not having:
        return messages
    found = await load_step_documents(documents, state, having)
    steps = {
        message_id: tuple(document.step for document in group)
        for message_id, group in groupby(found, lambda document: document.message_id)
    }
    return [message.model_copy(update={"steps": steps.get(message.message_id, ())}) for message in messages]


async def load_first_steps(
    documents: Documents,
    state: SessionState,
    messages: Sequence[Message],
    *,
    newest: bool,
    max_bytes: int = MAX_RESPONSE_BYTES,
) -> Sequence[Message]:
    """The first of `messages`, at least one, with their steps: as many as have `max_bytes` of steps together.

    `newest`: the messages are in descending order.
    """
    if not messages:
        return messages
    counts = [count_steps(message, state.active_turn) for message in messages]
    if sum(counts) <= _MAX_POINT_READS:
        ordered = await load_steps(documents, state, messages[::-1] if newest else messages)
        return ordered[::-1] if newest else ordered
    first, last = sorted((messages[0].sequence, messages[-1].sequence))
    found = await documents.find(
        StepDocument,
        state.session_id,
        after=first - 1,
        before=last + 1,
        limit=sum(counts),
        newest=newest,
        max_bytes=max_bytes,
    )
    steps: dict[MessageId, list[Step]] = {}
    for document in sorted(found, key=lambda document: document.number):
        steps.setdefault(document.message_id, []).append(document.step)
    complete = list[Message]()
    for message, count in zip(messages, counts, strict=True):
        own = steps.get(message.message_id, [])
        if len(own) < count and found.has_more:
            break
        complete.append(message.model_copy(update={"steps": tuple(own)}))
    return complete or await load_steps(documents, state, messages[:1])


async def load_step_documents(
    documents: Documents, state: SessionState, messages: Sequence[Message]
) -> Sequence[StepDocument]:
    """The documents of the steps of `messages`, in their order; see `load_steps`."""
    session_id, count = state.session_id, sum(count_steps(message, state.active_turn) for message in messages)
    if len(messages) == 1 and count <= _MAX_POINT_READS:
        ids = [step_id(messages[0].message_id, number) for number in range(1, count + 1)]
        found = [await documents.get(StepDocument, session_id, each) for each in ids]
        return [document for document in found if document is not None]
    if not count:
        return ()
    after, before = messages[0].sequence - 1, messages[-1].sequence + 1
    return await documents.find(StepDocument, session_id, after=after, before=before, limit=count)


def count_steps(message: Message, turn: ActiveTurn | None) -> int:
    """How many steps of `message` are recorded. `turn` is the running turn."""
    if turn is not None and turn.message_id == message.message_id and message.completed_at is None:
        return turn.steps_done
    return message.step_count


async def load_open_actions(documents: Documents, state: SessionState) -> Mapping[str, Action]:
    """What the parked turn waits for, with the whole arguments; empty if no turn is parked."""
    turn = state.active_turn
    if turn is None or not turn.parked:
        return {}
    return await load_whole_actions(documents, state.session_id, turn, turn.open_actions)


async def load_whole_actions(
    documents: Documents, session_id: SessionId, turn: ActiveTurn, actions: Mapping[str, Action]
) -> Mapping[str, Action]:
    """`actions` of the turn's newest step, with the whole arguments; with short ones only, once they are cleared."""
    if all(action.arguments_in is None for action in actions.values()):
        return actions
    found = await documents.get(StepDocument, session_id, step_id(turn.message_id, turn.step))
    arguments = {} if found is None else {call.id: call.arguments for call in found.step.tool_calls}
    return with_arguments(actions, arguments)
