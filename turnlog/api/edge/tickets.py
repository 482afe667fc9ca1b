"""Tickets: for one stream, a ticket in the URL stands for a token. A browser's `EventSource` sends no headers."""

import base64
import binascii
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from azurefunctions.extensions.http.fastapi import Request

from turnlog.api.edge.local_only import require_local
from turnlog.api.edge.principal import Caller, caller_of
from turnlog.domain.errors import ForbiddenError, UnauthenticatedError
from turnlog.settings import settings

LIFETIME = timedelta(minutes=5)
QUERY_NAME = "ticket"
_NONCE_BYTES = 12
_PURPOSE = b"turnlog ticket 1"  # what the same key encrypts for another purpose is no ticket


@dataclass(frozen=True)
class Ticket:
    """`owner` may open `stream` until `expires_at`. What is open then ends at `ends_at`, with the caller's token.

    Times are seconds since 1970. `ends_at` is None where callers have no end.
    """

    stream: str
    owner: str
    expires_at: float
    ends_at: float | None


class TicketCipher:
    """Encrypts tickets. Without the key nobody can read, change or make one."""

    def __init__(self, key: bytes) -> None:
        # Imported only here: cryptography is slow to import.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        self._cipher = AESGCM(hashlib.sha256(key).digest())

    def encrypt(self, ticket: Ticket) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        encrypted = nonce + self._cipher.encrypt(nonce, json.dumps(asdict(ticket)).encode(), _PURPOSE)
        return base64.urlsafe_b64encode(encrypted).rstrip(b"=").decode()

    def decrypt(self, text: str) -> Ticket:
        """Raises UnauthenticatedError: the text is no ticket, or is encrypted with another key."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        try:
            encrypted = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            nonce, rest = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
            return Ticket(**json.loads(self._cipher.decrypt(nonce, rest, _PURPOSE)))
        except (binascii.Error, ValueError, TypeError, InvalidTag):
            raise UnauthenticatedError("The ticket is not valid: ask for another one.") from None


def issue(req: Request) -> tuple[str, datetime]:
    """A ticket for the stream of the session or project in the path, and when it expires: not after the caller."""
    caller, now = caller_of(req), datetime.now(UTC)
    ends_at = None if caller.expires_in is None else now + caller.expires_in
    expires_at = now + LIFETIME if ends_at is None else min(now + LIFETIME, ends_at)
    ticket = Ticket(_stream_of(req), caller.owner, expires_at.timestamp(), ends_at and ends_at.timestamp())
    return _cipher().encrypt(ticket), expires_at


def is_sent(req: Request) -> bool:
    """Whether the request carries a ticket. Routes that take none ignore it."""
    return QUERY_NAME in req.query_params


def ticket_holder(req: Request, trace_id: str) -> Caller:
    """The owner of the ticket that the request carries. Its token, if it has one, is not looked at.

    Raises:
        UnauthenticatedError: the ticket is not valid, or has expired. ForbiddenError: it is for another stream, or
            another site or machine calls where nobody signs in.
    """
    if settings().auth_mode == "none":
        require_local(req)
    ticket = _cipher().decrypt(req.query_params[QUERY_NAME])
    now = datetime.now(UTC).timestamp()
    if ticket.expires_at <= now:
        raise UnauthenticatedError("The ticket has expired: ask for another one.")
    if ticket.stream != _stream_of(req):
        raise ForbiddenError("The ticket is for another stream.")
    return Caller(ticket.owner, trace_id, None if ticket.ends_at is None else timedelta(seconds=ticket.ends_at - now))


def _stream_of(req: Request) -> str:
    """The session or project in the path, whose stream it is. Its id is unique among those of the ticket's owner."""
    return next(f"{name}={req.path_params[name]}" for name in ("session_id", "project_id") if name in req.path_params)


@cache
def _cipher() -> TicketCipher:
    """The cipher of all processes that have the same key. Without a key, this process chooses one."""
    key = settings().ticket_key
    return TicketCipher(secrets.token_bytes(32) if key is None else key.get_secret_value().encode())
