"""Lists of sessions: which sessions, and in which order."""

from dataclasses import dataclass, field

from shared.domain.session import SessionState


@dataclass(frozen=True)
class SessionFilter:
    """Which sessions to list. None and empty mean "any". `with_deleted`: also the marks of deleted sessions."""

    owner: str | None = None
    project_id: str | None = None
    status: str | None = None
    agent_name: str | None = None
    archived: bool | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    with_deleted: bool = False


def listing_key(state: SessionState) -> str:
    """The key by which sessions are sorted in lists: creation time, then id."""
    return f"{state.created_at.isoformat()}|{state.session_id}"
