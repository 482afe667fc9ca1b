"""Who is calling, and under which trace: the only place that reads identity headers."""

import base64
import binascii
import json
import os
import re
import secrets
from dataclasses import dataclass
from typing import Any

from azurefunctions.extensions.http.fastapi import Request

from shared.domain.errors import UnauthenticatedError
from shared.settings import settings
from shared.telemetry.recorder import current_trace

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_LOCAL_OWNER = "local"
_SUBJECT_CLAIMS = ("http://schemas.microsoft.com/identity/claims/objectidentifier", "oid", "sub")
_TENANT_CLAIMS = ("http://schemas.microsoft.com/identity/claims/tenantid", "tid")


@dataclass(frozen=True)
class Caller:
    """`owner` is issuer, tenant and subject; sessions belong to it. `trace_id` is W3C's, 32 hexadecimal digits."""

    owner: str
    trace_id: str


def caller(req: Request) -> Caller:
    """The caller that `@endpoint` recognised."""
    return req.state.caller


def trace_id_of(req: Request) -> str:
    """The trace that the request belongs to, or a new one (w3.org/TR/trace-context)."""
    match = _TRACEPARENT.match(req.headers.get("traceparent", ""))
    if match and int(match.group(1), 16):
        return match.group(1)
    return current_trace() or secrets.token_hex(16)  # the first: where the host has begun one


def owner_of(req: Request) -> str:
    """Whose sessions the request may touch.

    Raises:
        UnauthenticatedError: the caller is not known.
    """
    if settings().auth_mode == "none":
        return _LOCAL_OWNER
    # The headers can be forged wherever the platform does not strip and set them itself.
    if os.environ.get("WEBSITE_AUTH_ENABLED") != "True":
        raise UnauthenticatedError(
            "AUTH_MODE=easyauth, but authentication is not enabled on this app (WEBSITE_AUTH_ENABLED)."
        )
    claims = _claims(req.headers.get("x-ms-client-principal", ""))
    subject = next((claims[name] for name in _SUBJECT_CLAIMS if name in claims), None)
    if subject is None:
        raise UnauthenticatedError("Sign in: the request carries no identity.")
    tenant = next((claims[name] for name in _TENANT_CLAIMS if name in claims), "")
    return "|".join((claims.get("iss", ""), tenant, subject))


def _claims(header: str) -> dict[str, str]:
    """The claims App Service hands over, base64 of JSON (learn.microsoft.com, "Work with user identities")."""
    try:
        principal: dict[str, Any] = json.loads(base64.b64decode(header)) if header else {}
        return {str(claim["typ"]): str(claim["val"]) for claim in principal.get("claims", [])}
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnauthenticatedError("The identity header can't be read.") from error
