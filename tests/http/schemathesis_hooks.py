"""Hooks of schemathesis: what it must know about the service and the API description can't say."""

import secrets
from typing import Any, cast

import schemathesis

_AGENT = "assistant"
_PRODUCER = ("producer-id", "producer-epoch", "producer-seq")
_FRAME = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Describe each frame of a stream. For other readers of the description, a stream is one text."""
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                stream = response.get("content", {}).get("text/event-stream")
                if stream is not None:
                    stream["schema"] = stream["schema"].get("x-frame", _FRAME)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out headers that are not described: HTTP allows any."""
    headers: dict[str, str] = case.headers or {}
    return not any("schemathesis-unknown" in name for name in headers)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Use each key only once, send a producer's headers together, and name an agent that exists."""
    headers: dict[str, str] = case.headers or {}
    if any(name in headers for name in _PRODUCER):
        for name, value in zip(_PRODUCER, ("p", "0", "0"), strict=True):
            headers.setdefault(name, value)
        if _can_be_extended(headers.get("idempotency-key", "")):  # only one of the two is allowed
            del headers["idempotency-key"]
    for name in ("idempotency-key", "producer-id"):
        if _can_be_extended(headers.get(name, "")):
            headers[name] += secrets.token_hex(8)
    if case.operation.path.endswith("/messages") and isinstance(case.body, dict):
        body = cast("dict[str, Any]", case.body)
        agent = body.get("agent")
        if agent is None or (isinstance(agent, str) and len(agent) <= 256):
            body["agent"] = _AGENT


def _can_be_extended(key: str) -> bool:
    """Whether `key` is accepted, also with some characters more."""
    return key.strip() != "" and len(key) < 200
