"""Lists: which sessions they hold, in which order, and the cursors of their pages."""

import base64
import binascii
from dataclasses import dataclass, field

from turnlog.domain.errors import InvalidCursorError
from turnlog.domain.ids import OwnerHash
from turnlog.domain.session import SessionState


@dataclass(frozen=True)
class SessionFilter:
    """Which sessions to list. None and empty mean "any". `with_deleted`: also the tombstones of deleted sessions."""

    owner: OwnerHash | None = None
    project_id: str | None = None
    status: str | None = None
    agent_name: str | None = None
    archived: bool | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    with_deleted: bool = False


def listing_key(state: SessionState) -> str:
    """The key by which sessions are sorted in lists: creation time, then id."""
    return f"{state.created_at.isoformat()}|{state.session_id}"


def encode_cursor(listing_key: str) -> str:
    """The cursor, opaque to clients, of a page that ends with this listing key."""
    return base64.urlsafe_b64encode(listing_key.encode()).decode()


def decode_cursor(cursor: str) -> str:
    """The listing key in a cursor. Raises InvalidCursorError if `encode_cursor` did not create it."""
    try:
        decoded = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    if not decoded:
        raise InvalidCursorError("the `next_cursor` of a page of this list")
    return decoded
