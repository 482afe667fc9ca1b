"""What the service's JSON answers hold, as dicts. Fields that this client does not name are there all the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict

from turnlog_client.events import Event

Content: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A text, or parts in OpenAI's form."""

SessionState: TypeAlias = Literal["idle", "queued", "running", "requires_action", "cancelling", "stalled"]
MessageStatus: TypeAlias = Literal[
    "queued", "running", "requires_action", "completed", "failed", "cancelled", "withdrawn"
]
OnBusy: TypeAlias = Literal["enqueue", "reject", "interrupt", "steer"]
ActionKind: TypeAlias = Literal["approval", "client_tool"]


class Usage(TypedDict):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Failure(TypedDict):
    """Why a turn failed. `code` is for programs."""

    code: str
    message: str
    retryable: bool


class RequiredAction(TypedDict):
    """A tool call that waits: for an approval, or for the client to run it. `arguments` is JSON."""

    call_id: str
    kind: ActionKind
    name: str
    arguments: str
    expires_at: str


class SessionInfo(TypedDict):
    """A session. `status` is for programs, `state` for user interfaces; timestamps are RFC 3339."""

    session_id: str
    session_name: str | None
    agent_name: str | None
    project_id: str | None
    node_id: str | None
    status: Literal["running", "finished"]
    state: SessionState
    required_action: list[RequiredAction]
    created_at: str
    updated_at: str
    archived: bool
    metadata: dict[str, Any]
    head: int
    queued: int
    usage: Usage


class SessionPage(TypedDict):
    """Sessions, newest first. `next_cursor` is the `cursor` of the next page."""

    sessions: list[SessionInfo]
    next_cursor: str | None


class Message(TypedDict):
    """A message and its answer. `client_id` is the sender's own id of it."""

    message_id: str
    session_id: str
    turn_id: str
    client_id: str | None
    sequence: int
    content: Any
    answer: str | None
    reasoning: str | None
    status: MessageStatus
    error: Failure | None
    agent: str
    model: str
    usage: Usage
    finish_reason: str | None
    tool_calls: list[dict[str, Any]]
    patch: list[dict[str, Any]] | None
    metadata: dict[str, Any]
    created_at: str
    completed_at: str | None


class CancelReceipt(TypedDict):
    """What a cancel found: `idle` if nothing ran. With `wait` it is the end of the turn."""

    turn_id: str | None
    status: Literal["idle", "cancelling", "completed", "failed", "cancelled"]


class DecisionReceipt(TypedDict):
    """The decision about a tool call, as it is recorded."""

    call_id: str
    decision: Literal["approve", "deny", "result"]


class Project(TypedDict):
    """A project owns a JSON document; `revision` counts its changes."""

    id: str
    name: str
    document: dict[str, Any]
    revision: int


class AgentTool(TypedDict):
    """A tool; `client`: the client runs it."""

    name: str
    description: str
    requires_approval: bool
    client: bool


class Agent(TypedDict):
    """An agent that can answer."""

    name: str
    description: str
    model: str
    tools: list[AgentTool]


class AgentList(TypedDict):
    """The agents, and which one answers by default."""

    agents: list[Agent]
    default: str


@dataclass(frozen=True)
class EventPage:
    """Events of the log. `next_cursor` continues (`after`; newest first: `before`); None: it was the last page."""

    events: list[Event]
    next_cursor: str | None
    head: int


class CreateSession(TypedDict, total=False):
    """What a new session may have; `session_id` is your own name of it."""

    session_id: str
    session_name: str
    agent_name: str
    project_id: str
    project_dir: str
    node_id: str
    metadata: Mapping[str, Any]


class UpdateSession(TypedDict, total=False):
    """What of a session can change. None removes a value; `metadata` is merged by key."""

    session_name: str | None
    agent_name: str | None
    metadata: Mapping[str, Any]
    archived: bool


class ListSessions(TypedDict, total=False):
    """Which sessions to list; `limit` is at most 200."""

    limit: int
    cursor: str
    status: Literal["running", "finished"]
    project_id: str
    agent_name: str
    archived: bool


class SendOptions(TypedDict, total=False):
    """How to send a message. `client_id` is your own id of it: its events and the message itself have it."""

    client_id: str
    agent: str
    model: str
    on_busy: OnBusy
    metadata: Mapping[str, Any]


class CancelOptions(TypedDict, total=False):
    """`turn_id`: only this turn. `queue="clear"` also withdraws the waiting messages."""

    turn_id: str
    queue: Literal["keep", "clear"]
    reason: str


class ListMessages(TypedDict, total=False):
    """Which messages to list: `after` is a `message_id`, `limit` is at most 200."""

    after: str
    limit: int
    order: Literal["asc", "desc"]


class ListEvents(TypedDict, total=False):
    """Which events to list; `limit` is at most 1000. `coalesce` (the default) joins deltas and omits void attempts."""

    after: int | str
    before: int | str
    limit: int
    types: Sequence[str]
    order: Literal["asc", "desc"]
    coalesce: bool
