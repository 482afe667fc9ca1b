"""Health: what a monitor reads."""

from typing import Literal

from typing_extensions import TypedDict


class Health(TypedDict):
    status: Literal["ok"]
    trace_id: str


class Readiness(TypedDict):
    """`checks` has each of `store`, `task_hub` and `model`."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Literal["ok", "failed"]]
    trace_id: str
