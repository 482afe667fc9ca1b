"""The state of a session: what it is after an event."""

from typing import Any, Literal, TypeAlias

from pydantic import AwareDatetime, JsonValue

from shared.domain.ids import InstanceId, MessageId, SessionId, TurnId, WriterId
from shared.domain.values import Count, Frozen, Ordinal, Usage

UiState: TypeAlias = Literal["idle", "queued", "running", "requires_action", "cancelling", "stalled"]

METADATA_BYTES = 16 * 1024
"""The most that a session's or a message's metadata takes, as JSON."""


class Attempt(Frozen):
    """Who works on a step or a tool call: the newest attempt that is in the log, and whether it is answered."""

    number: Ordinal
    writer: WriterId
    done: bool = False


class ActiveTurn(Frozen):
    """The one turn that owns the session now.

    `step` is the newest step begun and `call` its newest attempt; `tools` are the tool calls begun in that step. Of the
    messages put into the turn, `reading` are those that the newest step is the first to read, and `unread` those that
    came after its newest attempt had begun.
    """

    turn_id: TurnId
    message_id: MessageId
    instance_id: InstanceId
    generation: Ordinal = 1
    trace_id: str | None = None
    agent: str
    model: str
    started_at: AwareDatetime
    cancelling: bool = False
    stalled: bool = False
    parked: bool = False
    step: Count = 0
    call: Attempt | None = None
    tools: dict[str, Attempt] = {}
    reading: tuple[MessageId, ...] = ()
    unread: tuple[MessageId, ...] = ()
    usage: Usage = Usage()
    model_calls: Count = 0

    @property
    def steps_done(self) -> int:
        """How many steps have their whole text in the log."""
        return self.step if self.call is None or self.call.done else self.step - 1


class SessionState(Frozen):
    """What a session is after the event `head`."""

    session_id: SessionId
    epoch: Ordinal = 1
    head: Count
    thread_id: str
    owner: str
    session_name: str | None = None
    project_id: str | None = None
    project_dir: str | None = None
    agent_name: str | None = None
    node_id: str | None = None
    metadata: dict[str, JsonValue] = {}
    archived: bool = False
    deleted: bool = False
    created_at: AwareDatetime
    updated_at: AwareDatetime
    last_resumed_at: AwareDatetime | None = None
    status: Literal["running", "finished"] = "running"
    active_turn: ActiveTurn | None = None
    queue: tuple[MessageId, ...] = ()
    queued_ahead: Count = 0
    diagnosis: str | None = None
    diagnosis_overflow: str | None = None
    result_at: Count = 0
    run_meta: dict[str, Any] | None = None
    error_detail: str | None = None
    usage: Usage = Usage()
    size_bytes: Count = 0

    @property
    def ui_state(self) -> UiState:
        turn = self.active_turn
        if turn is None:
            return "queued" if self.queue else "idle"
        if turn.cancelling:
            return "cancelling"
        if turn.parked:
            return "requires_action"
        return "stalled" if turn.stalled else "running"

    @property
    def is_open(self) -> bool:
        """Whether more events are to be expected without anybody asking for them."""
        return not self.deleted and (self.status == "running" or self.active_turn is not None or bool(self.queue))
