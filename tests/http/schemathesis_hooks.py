"""Hooks of schemathesis: what it must know about the service and the API description can't say."""

import secrets
from typing import Any, cast

import schemathesis

_OURS = "assistant"
_PRODUCER = ("producer-id", "producer-epoch", "producer-seq")


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out headers that nobody described: HTTP lets anyone send them."""
    headers: dict[str, str] = case.headers or {}
    return not any("schemathesis-unknown" in name for name in headers)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Make keys that are used once, send a producer's headers together, and name an agent that there is."""
    headers: dict[str, str] = case.headers or {}
    if any(name in headers for name in _PRODUCER):
        for name, value in zip(_PRODUCER, ("p", "0", "0"), strict=True):
            headers.setdefault(name, value)
        if _is_fit(headers.get("idempotency-key", "")):  # the two don't go together
            del headers["idempotency-key"]
    for name in ("idempotency-key", "producer-id"):
        if _is_fit(headers.get(name, "")):
            headers[name] += secrets.token_hex(8)
    if case.operation.path.endswith("/messages") and isinstance(case.body, dict):
        body = cast("dict[str, Any]", case.body)
        agent = body.get("agent")
        if agent is None or (isinstance(agent, str) and len(agent) <= 256):
            body["agent"] = _OURS


def _is_fit(key: str) -> bool:
    """Whether `key` is accepted, and still is when something is added."""
    return key.strip() != "" and len(key) < 200
