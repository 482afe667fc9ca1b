"""The caller and the trace of a request. This is the only module that reads identity headers."""

import base64
import binascii
import json
import os
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from azurefunctions.extensions.http.fastapi import Request
from starlette.requests import HTTPConnection

from turnlog.api.edge.local_only import require_local
from turnlog.domain.errors import ForbiddenError, UnauthenticatedError
from turnlog.settings import settings
from turnlog.telemetry.recorder import current_trace_id

READING, WRITING, APPENDING = "sessions.read", "sessions.write", "events.append"
"""Scopes: what a bearer token may allow."""

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_LOCAL_OWNER = "local"
_OBJECT_ID_CLAIMS = ("http://schemas.microsoft.com/identity/claims/objectidentifier", "oid")
_TENANT_CLAIMS = ("http://schemas.microsoft.com/identity/claims/tenantid", "tid")
_SCOPE_CLAIMS = (
    *("scp", "roles", "scope"),
    "http://schemas.microsoft.com/identity/claims/scope",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
)
_ENTRA_HOSTS = (
    "sts.windows.net",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
)
_ENTRA_DOMAINS = (".ciamlogin.com", ".b2clogin.com")
_MIN_STREAM_SECONDS = 1.0  # a token is accepted for a minute after its end, since clocks differ

Claims: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Caller:
    """The sender of a request. `owner` is issuer, tenant and subject: what the caller creates belongs to it.

    `trace_id` has 32 hexadecimal digits (W3C trace context). `expires_in` is how long the caller is known: None without
    an end.
    """

    owner: str
    trace_id: str
    expires_in: timedelta | None = None


def caller_of(req: Request) -> Caller:
    """The caller that `@endpoint` identified."""
    return req.state.caller


def trace_id_of(req: HTTPConnection) -> str:
    """The trace that the request belongs to, or a new one (w3.org/TR/trace-context)."""
    match = _TRACEPARENT.match(req.headers.get("traceparent", ""))
    if match and int(match.group(1), 16):
        return match.group(1)
    return current_trace_id() or secrets.token_hex(16)  # a current trace exists where the host has begun one


async def identify(req: Request, trace_id: str, scopes: Sequence[str]) -> Caller:
    """The caller of the request, who may do what one of `scopes` allows.

    Raises:
        UnauthenticatedError: the caller is not known. IdentityUnavailableError: the issuer can't be asked now.
        ForbiddenError: the token has none of `scopes`, or another site or machine calls where nobody signs in.
    """
    match settings().auth_mode:
        case "none":
            require_local(req)
            return Caller(_LOCAL_OWNER, trace_id)
        case "easyauth":
            claims, is_entra = _platform_claims(req)
            # The platform lets in who is assigned to the app. Scopes are enforced for those who have any of the app's.
            if _granted(claims) & {READING, WRITING, APPENDING}:
                _require_scope(claims, scopes)
        case "jwt":
            # Imported only here: cryptography is slow to import, and other modes start without it.
            from turnlog.api.edge.tokens import bearer_token, verifier  # noqa: PLC0415

            claims = await verifier().claims(bearer_token(req))
            is_entra = _is_entra(claims.get("iss"))
            _require_scope(claims, scopes)
    return Caller(owner_in(claims, is_entra=is_entra), trace_id, _expires_in(claims))


def _granted(claims: Claims) -> set[str]:
    # Entra ID sends `scp` in a user's token and `roles` in an app's; other issuers send `scope` (RFC 9068).
    granted: set[str] = set()
    for name in _SCOPE_CLAIMS:
        value = claims.get(name)
        if isinstance(value, str):
            granted |= set(value.split())
        elif isinstance(value, list):
            granted |= {scope for each in cast("list[Any]", value) if isinstance(each, str) for scope in each.split()}
    return granted


def _require_scope(claims: Claims, scopes: Sequence[str]) -> None:
    if not _granted(claims) & set(scopes):
        raise ForbiddenError(f"The token does not allow this: it needs the scope {' or '.join(scopes)}.")


def owner_in(claims: Claims, *, is_entra: bool) -> str:
    """Issuer, tenant and subject as one text, different for each caller. `is_entra`: Entra ID issued the claims.

    Entra ID gives a user another `sub` in each app, so there the object id counts. Other issuers may let users choose
    the value of such a claim.

    Raises:
        UnauthenticatedError: the claims name no caller, or not one.
    """
    object_id, subject = _text(claims, *_OBJECT_ID_CLAIMS), _text(claims, "sub")
    if not object_id and not subject:
        raise UnauthenticatedError("Sign in: the request carries no identity.")
    # Without a subject the name has another form: a `sub` of another caller may have the same value.
    others = (subject,) if subject else ("", object_id)
    names = (object_id or subject,) if is_entra else others
    parts = (_text(claims, "iss"), _text(claims, *_TENANT_CLAIMS), *names)
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)


def _text(claims: Claims, *names: str) -> str:
    """The first of these claims that is present and not empty: all callers with an empty one would be one owner."""
    value = next((claims[name] for name in names if claims.get(name)), "")
    if not isinstance(value, str) or (not value.isascii() and not _is_unicode(value)):
        raise UnauthenticatedError("The identity of the caller is not valid.")
    return value


def _is_unicode(text: str) -> bool:
    """Whether `text` can be encoded: JSON may hold half characters."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_entra(issuer: Any) -> bool:
    try:
        host = urlsplit(issuer).hostname if isinstance(issuer, str) else None
    except ValueError:
        return False
    return host is not None and (host in _ENTRA_HOSTS or host.endswith(_ENTRA_DOMAINS))


def _expires_in(claims: Claims) -> timedelta | None:
    try:
        return timedelta(seconds=max(float(claims["exp"]) - time.time(), _MIN_STREAM_SECONDS))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _platform_claims(req: Request) -> tuple[Claims, bool]:
    """The claims that App Service sends, and whether Entra ID issued them."""
    # Where the platform does not remove and set these headers itself, a caller can forge them.
    if os.environ.get("WEBSITE_AUTH_ENABLED") != "True":
        raise UnauthenticatedError(
            "AUTH_MODE is easyauth, but authentication is not enabled on this app (WEBSITE_AUTH_ENABLED)."
        )
    return read_principal(req.headers.get("x-ms-client-principal", ""))


def read_principal(header: str) -> tuple[Claims, bool]:
    """Read base64 of JSON (learn.microsoft.com, "Work with user identities"). A claim that repeats has several values.

    Raises:
        UnauthenticatedError: it is something else.
    """
    claims: dict[str, str | list[str]] = {}
    try:
        principal: Any = json.loads(base64.b64decode(header)) if header else {}
        for claim in principal.get("claims", []):
            name, value = claim["typ"], claim["val"]
            if not isinstance(name, str) or not isinstance(value, str):
                raise UnauthenticatedError("The identity header is not valid.")
            first = claims.get(name, value)
            claims[name] = value if first == value else [*(first if isinstance(first, list) else [first]), value]
        provider = principal.get("auth_typ")
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnauthenticatedError("The identity header is not valid.") from error
    issuer = claims.get("iss")
    return claims, _is_entra(issuer) if issuer else provider is None or provider == "aad"
