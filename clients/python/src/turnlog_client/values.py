"""What the service's JSON answers hold, as dicts. Fields that this client does not name are there all the same."""

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from turnlog_client.events import Event
from turnlog_client.options import TokenLimit, WebhookEvent

SessionState: TypeAlias = Literal["idle", "queued", "running", "requires_action", "cancelling", "stalled"]
MessageStatus: TypeAlias = Literal[
    "queued", "running", "requires_action", "completed", "failed", "cancelled", "withdrawn"
]
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


class Budget(TypedDict):
    """How many tokens may be used in all, and how many of them are left."""

    total_tokens: int
    left_tokens: int


class ForkedFrom(TypedDict):
    """The session whose log was copied, and the last event that was copied."""

    session_id: str
    sequence: int


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
    cost: NotRequired[float]
    budget: Budget | None
    forked_from: ForkedFrom | None


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


class AppendReceipt(TypedDict):
    """The sequences of the appended events, in their order."""

    sequences: list[int]


class ToolCallResult(TypedDict):
    """A tool call with its whole response, which an event holds only up to 64 KB."""

    id: str
    message_id: str
    step: int
    name: str
    arguments: str
    status: Literal["completed", "failed", "cancelled", "denied"]
    response: Any
    truncated: bool
    duration_ms: int


class UsageRow(Usage):
    """The tokens that one agent used of one model, in `calls` model calls; their cost, if the model has a price."""

    agent: str
    model: str
    calls: int
    cost: NotRequired[float]


class UsageReport(TypedDict):
    """What a session, or all sessions of a project, used: in all, and by agent and model."""

    usage: Usage
    cost: NotRequired[float]
    budget: Budget | None
    sessions: int
    rows: list[UsageRow]


class ProjectWebhook(TypedDict):
    """A receiver of signed events. `secret` is only in the answer to the request for which the service made it."""

    id: str
    url: str
    events: list[WebhookEvent]
    secret: NotRequired[str]
    created_at: str


class Project(TypedDict):
    """A project owns a JSON document; `revision` counts its changes."""

    id: str
    name: str
    document: dict[str, Any]
    revision: int
    budget: TokenLimit | None
    webhooks: list[ProjectWebhook]


class ProjectPage(TypedDict):
    """Projects, newest first. `next_cursor` is the `cursor` of the next page."""

    projects: list[Project]
    next_cursor: str | None


class Deletion(TypedDict):
    """How far the deletion of a project is: `deleted` of the `listed` sessions. `listed` grows until the end."""

    project_id: str
    status: Literal["deleting", "deleted"]
    deleted: int
    listed: int
    requested_at: str
    ended_at: str | None


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
