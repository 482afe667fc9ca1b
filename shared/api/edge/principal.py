"""The caller and the trace of a request. This is the only module that reads identity headers."""

import base64
import binascii
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from azurefunctions.extensions.http.fastapi import Request

from shared.api.edge.local_only import require_local
from shared.domain.errors import ForbiddenError, UnauthenticatedError
from shared.settings import settings
from shared.telemetry.recorder import current_trace_id

READING, WRITING, APPENDING = "sessions.read", "sessions.write", "events.append"
"""Scopes: what a bearer token may allow."""

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_LOCAL_OWNER = "local"
_SUBJECT_CLAIMS = ("http://schemas.microsoft.com/identity/claims/objectidentifier", "oid", "sub")
_SCOPE_CLAIMS = ("scp", "roles", "scope")
_TENANT_CLAIMS = ("http://schemas.microsoft.com/identity/claims/tenantid", "tid")


@dataclass(frozen=True)
class Caller:
    """The sender of a request. `owner` is issuer, tenant and subject: what the caller creates belongs to it.

    `trace_id` has 32 hexadecimal digits (W3C trace context).
    """

    owner: str
    trace_id: str


def caller_of(req: Request) -> Caller:
    """The caller that `@endpoint` identified."""
    return req.state.caller


def trace_id_of(req: Request) -> str:
    """The trace that the request belongs to, or a new one (w3.org/TR/trace-context)."""
    match = _TRACEPARENT.match(req.headers.get("traceparent", ""))
    if match and int(match.group(1), 16):
        return match.group(1)
    return current_trace_id() or secrets.token_hex(16)  # a current trace exists where the host has begun one


async def owner_of(req: Request, scopes: Sequence[str]) -> str:
    """The owner whose sessions the request may use.

    Raises:
        UnauthenticatedError: the caller is not known. IdentityUnavailableError: the issuer can't be asked now.
        ForbiddenError: the token has none of `scopes`, or another site or machine calls where nobody signs in.
    """
    match settings().auth_mode:
        case "none":
            require_local(req)
            return _LOCAL_OWNER
        case "easyauth":
            return _owner_in(_platform_claims(req))
        case "jwt":
            # Imported only here: cryptography is slow to import, and other modes start without it.
            from shared.api.edge.tokens import bearer_token, verifier  # noqa: PLC0415

            claims = await verifier().claims(bearer_token(req))
            _require_scope(claims, scopes)
            return _owner_in(claims)


def _require_scope(claims: Mapping[str, Any], scopes: Sequence[str]) -> None:
    # Entra ID sends `scp` in a user's token and `roles` in an app's; other issuers send `scope` (RFC 9068).
    granted: set[str] = set()
    for name in _SCOPE_CLAIMS:
        value = claims.get(name)
        if isinstance(value, str):
            granted |= set(value.split())
        elif isinstance(value, list):
            granted |= set(map(str, cast("list[Any]", value)))
    if not granted & set(scopes):
        raise ForbiddenError(f"The token does not allow this: it needs the scope {' or '.join(scopes)}.")


def _owner_in(claims: Mapping[str, Any]) -> str:
    # A claim may be present but empty. All callers with an empty subject would be one owner.
    subject = next((claims[name] for name in _SUBJECT_CLAIMS if claims.get(name)), None)
    if subject is None:
        raise UnauthenticatedError("Sign in: the request carries no identity.")
    tenant = next((claims[name] for name in _TENANT_CLAIMS if claims.get(name)), "")
    return "|".join((claims.get("iss", ""), str(tenant), str(subject)))


def _platform_claims(req: Request) -> dict[str, str]:
    # Where the platform does not remove and set these headers itself, a caller can forge them.
    if os.environ.get("WEBSITE_AUTH_ENABLED") != "True":
        raise UnauthenticatedError(
            "AUTH_MODE is easyauth, but authentication is not enabled on this app (WEBSITE_AUTH_ENABLED)."
        )
    return _decode_claims(req.headers.get("x-ms-client-principal", ""))


def _decode_claims(header: str) -> dict[str, str]:
    """The claims that App Service sends, base64 of JSON (learn.microsoft.com, "Work with user identities")."""
    try:
        principal: dict[str, Any] = json.loads(base64.b64decode(header)) if header else {}
        return {str(claim["typ"]): str(claim["val"]) for claim in principal.get("claims", [])}
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnauthenticatedError("The identity header is not valid.") from error
