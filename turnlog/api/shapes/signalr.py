"""SignalR: the groups of watchers, and how a client asks for a connection that is in them."""

from pydantic import Field
from typing_extensions import TypedDict

from turnlog.api.shapes.common import Body, with_example
from turnlog.domain.ids import ProjectId, PublicId, SessionId


class Watch(Body):
    model_config = with_example(session_id="demo")

    session_id: PublicId | None = Field(None, description="the session to watch")
    project_id: ProjectId | None = Field(None, description="the project whose sessions to watch")


class Negotiation(TypedDict):
    """Where a SignalR client connects. `url` and `accessToken` are SignalR's names."""

    url: str
    accessToken: str
    trace_id: str


def session_group(session_id: SessionId) -> str:
    """The group of one session: of one owner. Clients never send the name of a group."""
    return f"session:{session_id}"


def project_group(project_id: ProjectId) -> str:
    return f"project:{project_id}"
