"""What the calls of a client take, as keyword arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Required, TypeAlias, TypedDict

Content: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A text, or parts in OpenAI's form."""

OutsideEvent: TypeAlias = Mapping[str, Any]
"""An event of another producer: `event_type`, and any further fields, which are JSON."""

OnBusy: TypeAlias = Literal["enqueue", "reject", "interrupt", "steer"]
WebhookEvent: TypeAlias = Literal["run.complete", "requires_action", "session_deleted"]


class TokenLimit(TypedDict):
    """A budget: how many tokens may be used in all, from the beginning on."""

    total_tokens: int


class CreateSession(TypedDict, total=False):
    """What a new session may have; `session_id` is your own name of it."""

    session_id: str
    session_name: str
    agent_name: str
    project_id: str
    project_dir: str
    node_id: str
    metadata: Mapping[str, Any]
    budget: TokenLimit


class OpenSession(TypedDict, total=False):
    """Which session of a project to open. Without a `node_id` it is that of the whole project.

    The name and the agent are those of a new session; one that is there keeps its own.
    """

    node_id: str
    session_name: str
    agent_name: str


class ForkSession(TypedDict, total=False):
    """What of a session to copy: its log up to `at_sequence`, or all of it. The copy has a name of its own."""

    at_sequence: int
    session_name: str


class UpdateSession(TypedDict, total=False):
    """What of a session can change. None removes a value; `metadata` is merged by key."""

    session_name: str | None
    agent_name: str | None
    metadata: Mapping[str, Any]
    archived: bool
    budget: TokenLimit | None


class ListSessions(TypedDict, total=False):
    """Which sessions to list; `limit` is at most 200. `metadata`: those that have these texts under these keys."""

    limit: int
    cursor: str
    status: Literal["running", "finished"]
    project_id: str
    agent_name: str
    archived: bool
    metadata: Mapping[str, str]


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


@dataclass(frozen=True)
class Producer:
    """Numbers the requests of one producer of events, so that a repeat is recognised for ever, and a gap is refused.

    `id` is its name in the session. `epoch` grows with each restart; requests of an older epoch are refused. `seq` is
    the number of the request in its epoch, from 0.
    """

    id: str
    epoch: int
    seq: int


class Webhook(TypedDict, total=False):
    """A receiver of signed events. Without a `secret` the service makes one, and returns it once."""

    url: Required[str]
    events: Sequence[WebhookEvent]
    secret: str


class CreateProject(TypedDict, total=False):
    """What a new project may have. `document` is valid against the schema of the service."""

    document: Mapping[str, Any]
    budget: TokenLimit
    webhooks: Sequence[Webhook]


class UpdateProject(TypedDict, total=False):
    """What of a project can change. `document` is merged (RFC 7396); `webhooks` are all of the project."""

    name: str
    document: Mapping[str, Any] | None
    budget: TokenLimit | None
    webhooks: Sequence[Webhook] | None


class ListProjects(TypedDict, total=False):
    """Which projects to list; `limit` is at most 200."""

    limit: int
    cursor: str
