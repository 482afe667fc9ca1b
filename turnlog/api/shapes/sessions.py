"""Sessions: what a client sends to create, change or fork one, and what it reads."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, JsonValue
from typing_extensions import TypedDict

from turnlog.api.shapes.common import (
    Body,
    BudgetBody,
    BudgetView,
    ChosenSessionId,
    Metadata,
    Name,
    PositiveInteger,
    timestamp,
    with_example,
)
from turnlog.api.shapes.tool_calls import RequiredAction, required_actions
from turnlog.domain.events import ForkedFrom
from turnlog.domain.ids import PublicId, public_id
from turnlog.domain.session import SessionState, UiState
from turnlog.domain.tolerance import FROM_STORE
from turnlog.domain.values import OptionalCost, RunStatus, Usage
from turnlog.services.sessions import Page, Sessions


class CreateSession(Body):
    model_config = with_example(session_id="demo", session_name="A first conversation")

    session_id: ChosenSessionId | None = Field(
        None,
        description="an id of your choice, which none of your sessions has or had; if absent, the service makes one",
    )
    session_name: Name | None = None
    project_id: Name | None = Field(None, description="the id of a project, or any label")
    project_dir: Annotated[str, Field(max_length=4096)] | None = None
    agent_name: Name | None = Field(None, description="if absent: `vibecoder` in a project, otherwise `assistant`")
    node_id: Name | None = None
    metadata: Metadata = {}
    budget: BudgetBody | None = None


class UpdateSession(Body):
    """RFC 7396: absent fields stay as they are, null clears a field, objects are merged."""

    model_config = with_example(session_name="Renamed", metadata={"topic": "stories"})

    session_name: Name | None = None
    agent_name: Name | None = None
    metadata: Metadata | None = None
    archived: bool | None = None
    budget: BudgetBody | None = Field(None, description="null: no budget")


class ForkSession(Body):
    model_config = with_example(session_name="Another way to continue")

    at_sequence: PositiveInteger | None = Field(
        None, description="the last event that may be copied; if absent, the end of the log"
    )
    session_name: Name | None = None


class SessionView(BaseModel):
    """A session. `status` is for programs, `state` for user interfaces.

    `queued`: messages wait, or the turn waits until a process has a place for it. Lists and rooms call the latter
    `running`.
    """

    session_id: PublicId
    session_name: str | None
    project_id: str | None
    project_dir: str | None
    agent_name: str | None
    node_id: str | None
    openai_session_key: str
    thread_id: str
    status: RunStatus
    state: UiState
    required_action: list[RequiredAction]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    last_resumed_at: AwareDatetime | None
    archived: bool
    metadata: dict[str, JsonValue]
    head: int
    active_turn: dict[str, JsonValue] | None
    queued: int
    diagnosis: str | None
    run_meta: dict[str, Any] | None
    error_detail: str | None
    usage: Usage
    cost: OptionalCost = None
    budget: BudgetView | None = None
    forked_from: ForkedFrom | None = None
    steps: list[dict[str, Any]] | None = None
    event_log: list[dict[str, Any]] | None = None
    trace_id: str | None = None

    @classmethod
    def of(cls, state: SessionState, /, **more: Any) -> "SessionView":
        turn = state.active_turn
        fields: dict[str, Any] = {name: getattr(state, name) for name in cls.model_fields if hasattr(state, name)}
        own: dict[str, Any] = {
            "session_id": public_id(state.session_id),
            "openai_session_key": public_id(state.session_id),
            "state": state.ui_state,
            "required_action": required_actions(turn.open_actions) if turn is not None and turn.parked else [],
            "active_turn": None
            if turn is None
            else {
                "turn_id": turn.turn_id,
                "message_id": turn.message_id,
                "started_at": timestamp(turn.started_at),
                "step": turn.step,
            },
            "queued": len(state.queue),
            "budget": BudgetView.of(state.budget, state.usage),
        }
        return cls.model_validate({**fields, **own, **more}, context=FROM_STORE)


async def view_session(sessions: Sessions, state: SessionState, /, **more: Any) -> SessionView:
    """The session with what may have to be loaded: its whole `diagnosis`, and the arguments of calls that wait.

    `state` is as new as the log: so a turn that no process has begun is `queued`.
    """
    if state.is_waiting_for_place:
        more["state"] = "queued"
    return await view_listed_session(sessions, state, **more)


async def view_listed_session(sessions: Sessions, state: SessionState, /, **more: Any) -> SessionView:
    """The same for a `state` that is a checkpoint, as lists and rooms have it."""
    required = required_actions(await sessions.required_action(state))
    return SessionView.of(state, diagnosis=await sessions.diagnosis(state), required_action=required, **more)


class SessionPage(TypedDict):
    sessions: list[SessionView]
    next_cursor: str | None
    trace_id: str


async def view_page(sessions: Sessions, page: Page, trace_id: str) -> SessionPage:
    views = [await view_listed_session(sessions, state) for state in page.sessions]
    return {"sessions": views, "next_cursor": page.next_cursor, "trace_id": trace_id}


class SessionStatus(TypedDict):
    session_id: PublicId
    status: Literal["running", "finished", "not_existent"]
    trace_id: str


class SessionResult(TypedDict):
    """`result` is the text of the last assistant message."""

    session_id: PublicId
    result: str
    trace_id: str
