"""Health: what a monitor reads, and the links of the service."""

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


class ServiceLinks(TypedDict):
    """Paths of the service by name."""

    name: str
    version: str
    links: dict[str, str]
    trace_id: str
