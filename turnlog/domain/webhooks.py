"""Webhooks: what is sent to whom, how it is signed (standardwebhooks.com), and which addresses may receive it."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AwareDatetime, Field

from turnlog.domain.ids import InstanceId, ProjectId, SessionId, TurnId, base32
from turnlog.domain.loopback import is_loopback
from turnlog.domain.tolerance import OPEN
from turnlog.domain.values import Frozen

MAX_WEBHOOKS = 5
MAX_URL_LENGTH = 2048

WebhookEvent: TypeAlias = Annotated[Literal["run.complete", "requires_action", "session_deleted"], OPEN]
Address: TypeAlias = IPv4Address | IPv6Address

_PREFIX = "whsec_"
_NAT64 = IPv6Network("64:ff9b::/96")
_CLOSED = (
    IPv6Network("64:ff9b:1::/48"),  # NAT64 of the local network
    IPv6Network("::/96"),  # IPv4-compatible
    IPv6Network("2001::/32"),  # Teredo
)
_AZURE_PLATFORM = ip_address("168.63.129.16")  # a public address that only answers inside of Azure


class Webhook(Frozen):
    """A receiver of events of a project's sessions. `secret` signs what it gets, and is never returned again."""

    id: str
    url: str
    events: tuple[WebhookEvent, ...]
    secret: str = Field(repr=False)
    created_at: AwareDatetime


class Delivery(Frozen):
    """One event for one webhook. `id` is the same in every attempt, also that of a second announcement."""

    id: str
    project_id: ProjectId
    webhook_id: str
    session_id: SessionId
    event: WebhookEvent
    turn_id: TurnId | None = None

    @property
    def instance_id(self) -> InstanceId:
        """The Durable instance that delivers it."""
        return InstanceId(f"webhook_{self.id}")

    @classmethod
    def of(cls, project_id: ProjectId, webhook: Webhook, session_id: SessionId, event: "Announcement") -> Self:
        text = "\n".join((webhook.id, session_id, event.name, event.turn_id or "", *event.parts))
        digest = base32(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]))
        return cls(
            id=f"msg_{digest}",
            project_id=project_id,
            webhook_id=webhook.id,
            session_id=session_id,
            event=event.name,
            turn_id=event.turn_id,
        )


@dataclass(frozen=True)
class Announcement:
    """What happened in a session. `parts` distinguish what happens several times in a turn."""

    name: WebhookEvent
    turn_id: TurnId | None = None
    parts: Sequence[str] = ()


def new_webhook(url: str, events: Sequence[WebhookEvent], secret: str | None, at: AwareDatetime) -> Webhook:
    """A webhook with a new id, and a new secret if none is given."""
    secret = secret or _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    return Webhook(
        id=f"whk_{secrets.token_hex(10)}", url=url, events=tuple(dict.fromkeys(events)), secret=secret, created_at=at
    )


def merge_webhooks(present: Sequence[Webhook], wanted: Sequence[tuple[Webhook, bool]]) -> tuple[Webhook, ...]:
    """The webhooks of a project after a change: `wanted`, each with whether its secret was given.

    One with the URL of a present one keeps that one's id, and its secret too unless another one was given. Of two with
    the same URL, the last one counts.
    """
    by_url = {webhook.url: webhook for webhook in present}
    merged: dict[str, Webhook] = {}
    for webhook, has_secret in wanted:
        before = by_url.get(webhook.url)
        if before is not None:
            secret = {"secret": webhook.secret} if has_secret else {}
            merged[webhook.url] = before.model_copy(update={"events": webhook.events, **secret})
        else:
            merged[webhook.url] = webhook
    return tuple(merged.values())


def is_secret(text: str) -> bool:
    """Whether `text` is a secret of Standard Webhooks: 24 to 64 bytes as base64, after `whsec_`."""
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.startswith(_PREFIX) and 24 <= len(key) <= 64


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature` of a body."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def url_problem(url: str, *, allows_loopback: bool) -> str | None:
    """Why a webhook can't have this URL; None if it can. Where its name leads to is checked when it is called."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return "takes a URL, for example https://example.com/hooks"
    host = parts.hostname
    if not host or not has_port or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "takes a URL, for example https://example.com/hooks"
    if "@" in parts.netloc or parts.fragment:
        return "may have no user, password or fragment"
    return _host_problem(parts, host, allows_loopback=allows_loopback)


def _host_problem(parts: SplitResult, host: str, *, allows_loopback: bool) -> str | None:
    if allows_loopback and parts.scheme in {"http", "https"} and is_loopback(host):
        return None
    if parts.scheme != "https":
        return "must begin with https://"
    try:
        address = ip_address(host)
    except ValueError:
        return "leads to this machine" if is_loopback(host) else None
    return None if is_public(address) else "must lead to a public address"


def is_public(address: Address) -> bool:
    """Whether `address`, and the IPv4 address inside it, is one of the public internet."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or any(address in network for network in _CLOSED):
            return False
    return address.is_global and not address.is_multicast and address != _AZURE_PLATFORM


def webhook_body(event: WebhookEvent, at: str, data: dict[str, Any]) -> dict[str, Any]:
    """What a receiver gets, in the form of Standard Webhooks."""
    return {"type": event, "timestamp": at, "data": data}
