"""Everything that can be refused or go wrong, without a word of HTTP.

TurnlogError
├── InvalidRequestError          invalid_request      what was sent can't be understood; `problems` says where
│   ├── IdempotencyKeyReusedError  idempotency_key_reused
│   ├── InvalidDocumentError     invalid_document     the project's document would not be as its schema asks
│   └── ProducerSeqReusedError   producer_seq_reused
├── NotFoundError
│   ├── SessionNotFoundError     session_not_found    also for another owner's session
│   ├── MessageNotFoundError     message_not_found
│   ├── ToolCallNotFoundError    tool_call_not_found
│   ├── ProjectNotFoundError     project_not_found    also for another owner's project
│   ├── NotFinishedError         not_finished
│   └── NoResultError            no_result
├── ConflictError
│   ├── SessionExistsError       session_exists
│   ├── SessionDeletedError      session_deleted
│   ├── SessionArchivedError     session_archived
│   ├── SessionFullError         session_full
│   ├── TurnInProgressError      turn_in_progress
│   ├── NotWaitingError          not_waiting
│   ├── AlreadyDecidedError      already_decided      the call is approved, denied or answered
│   ├── WrongActionError         wrong_action         the call waits for something else: an approval, or its result
│   ├── ProjectExistsError       project_exists
│   ├── RevisionTakenError       revision_taken       the project was changed meanwhile: read it and decide again
│   ├── PreconditionFailedError  precondition_failed  it is not at the version that the change was meant for
│   └── ProducerGapError         producer_gap         a request before this one is missing
├── AgentNotFoundError           agent_not_found
├── ModelNotAllowedError         model_not_allowed
├── TooLargeError                too_large
├── QueueFullError               queue_full           try again later
├── ForbiddenError               forbidden
├── ProducerFencedError          producer_fenced      another instance of the producer has taken over
├── UnauthenticatedError         unauthenticated
├── IdentityUnavailableError     identity_unavailable  who is calling can't be told just now; try again later
├── StoreUnavailableError        store_unavailable    try again later
├── FanoutUnavailableError       fanout_unavailable   try again later
├── NotSupportedError            not_supported        this deployment can't do this
├── SequenceTakenError           sequence_taken       another writer was first: read on and decide again
└── ModelError                   model_error …        `code` is the instance's own
"""

from dataclasses import dataclass
from typing import ClassVar

from shared.domain.ids import SessionId


class TurnlogError(Exception):
    """Anything this service says no with. `code` is part of the API: never rename one."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one field. `pointer` is an RFC 6901 JSON pointer into the body, or `?name` for a query."""

    pointer: str
    detail: str


class InvalidRequestError(TurnlogError):
    code = "invalid_request"

    def __init__(self, detail: str, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems


class IdempotencyKeyReusedError(InvalidRequestError):
    code = "idempotency_key_reused"


class ProducerSeqReusedError(InvalidRequestError):
    code = "producer_seq_reused"


class InvalidDocumentError(InvalidRequestError):
    code = "invalid_document"


class NotFoundError(TurnlogError):
    code = "not_found"


class SessionNotFoundError(NotFoundError):
    code = "session_not_found"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"There is no session {session_id!r}.")


class MessageNotFoundError(NotFoundError):
    code = "message_not_found"

    def __init__(self, message_id: str) -> None:
        super().__init__(f"There is no message {message_id!r}.")


class ToolCallNotFoundError(NotFoundError):
    code = "tool_call_not_found"


class ProjectNotFoundError(NotFoundError):
    code = "project_not_found"

    def __init__(self, project_id: str) -> None:
        super().__init__(f"There is no project {project_id!r}.")


class NotFinishedError(NotFoundError):
    code = "not_finished"
    retryable = True


class NoResultError(NotFoundError):
    code = "no_result"


class ConflictError(TurnlogError):
    code = "conflict"


class SessionExistsError(ConflictError):
    code = "session_exists"


class SessionDeletedError(ConflictError):
    code = "session_deleted"


class SessionArchivedError(ConflictError):
    code = "session_archived"


class SessionFullError(ConflictError):
    code = "session_full"


class TurnInProgressError(ConflictError):
    code = "turn_in_progress"


class NotWaitingError(ConflictError):
    code = "not_waiting"


class AlreadyDecidedError(ConflictError):
    code = "already_decided"


class WrongActionError(ConflictError):
    code = "wrong_action"


class ProjectExistsError(ConflictError):
    code = "project_exists"


class RevisionTakenError(ConflictError):
    code = "revision_taken"


class PreconditionFailedError(ConflictError):
    code = "precondition_failed"


class ProducerGapError(ConflictError):
    code = "producer_gap"


class AgentNotFoundError(TurnlogError):
    code = "agent_not_found"


class ModelNotAllowedError(TurnlogError):
    code = "model_not_allowed"


class TooLargeError(TurnlogError):
    code = "too_large"


class QueueFullError(TurnlogError):
    code = "queue_full"
    retryable = True


class UnauthenticatedError(TurnlogError):
    code = "unauthenticated"


class IdentityUnavailableError(TurnlogError):
    code = "identity_unavailable"
    retryable = True


class ForbiddenError(TurnlogError):
    code = "forbidden"


class ProducerFencedError(TurnlogError):
    code = "producer_fenced"


class StoreUnavailableError(TurnlogError):
    code = "store_unavailable"
    retryable = True


class FanoutUnavailableError(TurnlogError):
    code = "fanout_unavailable"
    retryable = True


class NotSupportedError(TurnlogError):
    code = "not_supported"


class SequenceTakenError(TurnlogError):
    code = "sequence_taken"
    retryable = True

    def __init__(self, session_id: SessionId, first: int) -> None:
        super().__init__(f"Another writer holds place {first} of session {session_id}.")


class ModelError(TurnlogError):
    """A model call that failed, as a value the turn can end with.

    `transient` says whether the same call may succeed if made again.
    """

    def __init__(self, code: str, detail: str, *, transient: bool) -> None:
        super().__init__(detail)
        self.failure_code = code
        self.transient = transient
