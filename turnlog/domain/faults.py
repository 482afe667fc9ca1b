"""The part of the system that caused an error: the first question when somebody is called at night."""

from typing import Literal, TypeAlias

FaultDomain: TypeAlias = Literal["app", "model", "store", "platform"]
"""`app`: this service or the request. `model`: the model's server or its answer. `store`: the database.
`platform`: Functions, Durable or the machine."""

_MODEL = frozenset(
    {"content_filter", "context_length_exceeded", "insufficient_quota", "invalid_output", "invalid_patch"}
)
_NEVER_CALLED = frozenset({"model_not_allowed", "model_not_configured"})  # the app refused the call, not the model
_STORE = frozenset({"store_unavailable", "sequence_taken", "revision_taken"})
_PLATFORM = frozenset({"attempt_poisoned", "turn_lost", "identity_unavailable", "fanout_unavailable"})


def fault_domain(code: str) -> FaultDomain:
    """The fault domain of an error or a failure by its `code`. An unknown code is a fault of `app`."""
    if code in _STORE:
        return "store"
    if code in _PLATFORM:
        return "platform"
    if code in _MODEL or (code.startswith("model_") and code not in _NEVER_CALLED):
        return "model"
    return "app"


def code_of(error: BaseException) -> str:
    """The code of an error. An unexpected exception has the code `internal_error`."""
    return str(getattr(error, "failure_code", None) or getattr(error, "code", None) or "internal_error")
