"""Everything that can be refused or can fail. Nothing here knows HTTP.

TurnlogError
├── InvalidRequestError          invalid_request      the request is wrong; `problems` says where
│   ├── InvalidCursorError       invalid_request      the cursor comes from another list or feed
│   ├── IdempotencyKeyReusedError  idempotency_key_reused
│   ├── InvalidDocumentError     invalid_document     the project's document would not match its schema
│   └── ProducerSeqReusedError   producer_seq_reused
├── NotFoundError
│   ├── SessionNotFoundError     session_not_found    also for another owner's session
│   ├── MessageNotFoundError     message_not_found
│   ├── ToolCallNotFoundError    tool_call_not_found
│   ├── ProjectNotFoundError     project_not_found    also for another owner's project
│   ├── DeletionNotFoundError    deletion_not_found   no project of the caller's with this id is deleted
│   ├── NotFinishedError         not_finished
│   └── NoResultError            no_result
├── ConflictError
│   ├── SessionExistsError       session_exists
│   ├── SessionDeletedError      session_deleted
│   ├── SessionArchivedError     session_archived
│   ├── SessionFullError         session_full
│   ├── BudgetExceededError      budget_exceeded      the session or its project has used its budget
│   ├── TurnInProgressError      turn_in_progress
│   ├── NotWaitingError          not_waiting
│   ├── AlreadyDecidedError      already_decided      the call is approved, denied or answered
│   ├── WrongActionError         wrong_action         the call waits for the other action: an approval, or its result
│   ├── ProjectExistsError       project_exists
│   ├── RevisionTakenError       revision_taken       another request changed the project: read it and decide again
│   ├── PreconditionFailedError  precondition_failed  it is not at the revision that the change was meant for
│   └── ProducerGapError         producer_gap         a request before this one is missing
├── CursorGoneError              cursor_gone          the cursor is from before a restore of the log
├── AgentNotFoundError           agent_not_found
├── ModelNotAllowedError         model_not_allowed
├── TooLargeError                too_large
│   └── BatchTooLargeError       too_large            more than the store takes at once: write less, or in parts
├── QueueFullError               queue_full           try again later
├── RateLimitedError             rate_limited         the caller uses all that it may: try again after `retry_after`
├── ForbiddenError               forbidden
├── ProducerFencedError          producer_fenced      another instance of the producer has taken over
├── UnauthenticatedError         unauthenticated
├── IdentityUnavailableError     identity_unavailable  the caller can't be identified at the moment; try again later
├── StoreUnavailableError        store_unavailable    try again later
├── PushUnavailableError         fanout_unavailable   SignalR or Web PubSub: try again later
├── WebhookUnreachableError      webhook_unreachable  a receiver did not answer, or may not be called
│   └── WebhookTimeoutError      webhook_unreachable  it did not answer in time
├── NotSupportedError            not_supported        this deployment can't do this
│   └── SessionUnreadableError   session_unreadable   a later release has stored it; it can only be deleted
├── SequenceTakenError           sequence_taken       another writer was first: read the new events and decide again
└── ModelError                   model_error …        `failure_code` says what failed
"""

from dataclasses import dataclass
from typing import ClassVar

from turnlog.domain.ids import SessionId, public_id


class TurnlogError(Exception):
    """Anything that this service refuses or fails with. `code` is part of the API: never rename one."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    sentence: ClassVar[str | None] = None
    """What callers read, where the error's own text is for the operator: that may name files, hosts and accounts."""


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one field. `pointer` is a JSON pointer (RFC 6901) into the body, or `?name` in the query."""

    pointer: str
    detail: str


class InvalidRequestError(TurnlogError):
    code = "invalid_request"

    def __init__(self, detail: str, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems


class InvalidCursorError(InvalidRequestError):
    """`valid` says where valid cursors come from."""

    def __init__(self, valid: str) -> None:
        super().__init__(f"This cursor does not belong here: take {valid}.")


class IdempotencyKeyReusedError(InvalidRequestError):
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used with another body: take a new key.")


class ProducerSeqReusedError(InvalidRequestError):
    code = "producer_seq_reused"


class InvalidDocumentError(InvalidRequestError):
    code = "invalid_document"


class NotFoundError(TurnlogError):
    code = "not_found"


class SessionNotFoundError(NotFoundError):
    code = "session_not_found"

    def __init__(self, session_id: SessionId) -> None:
        super().__init__(f"There is no session {public_id(session_id)!r}.")


class MessageNotFoundError(NotFoundError):
    code = "message_not_found"

    def __init__(self, message_id: str) -> None:
        super().__init__(f"There is no message {message_id!r}.")


class ToolCallNotFoundError(NotFoundError):
    code = "tool_call_not_found"


class ProjectNotFoundError(NotFoundError):
    code = "project_not_found"

    def __init__(self, project_id: str | None) -> None:
        super().__init__(
            "The session has no project." if project_id is None else f"There is no project {project_id!r}."
        )


class DeletionNotFoundError(NotFoundError):
    code = "deletion_not_found"

    def __init__(self, project_id: str) -> None:
        super().__init__(f"There is no deletion of a project {project_id!r}.")


class NotFinishedError(NotFoundError):
    code = "not_finished"
    retryable = True


class NoResultError(NotFoundError):
    code = "no_result"


class ConflictError(TurnlogError):
    code = "conflict"


class SessionExistsError(ConflictError):
    code = "session_exists"

    def __init__(self, session_id: SessionId) -> None:
        super().__init__(f"You already have a session {public_id(session_id)!r}: take another id.")


class SessionDeletedError(ConflictError):
    code = "session_deleted"

    def __init__(self, session_id: SessionId) -> None:
        name = public_id(session_id)
        super().__init__(f"The session {name!r} was deleted. Its id is not used again: take another id or key.")


class SessionArchivedError(ConflictError):
    code = "session_archived"

    def __init__(self) -> None:
        super().__init__("The session is archived: PATCH it with archived=false first.")


class SessionFullError(ConflictError):
    code = "session_full"


class BudgetExceededError(ConflictError):
    code = "budget_exceeded"


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

    def __init__(self, project_id: str) -> None:
        super().__init__(f"The id {project_id!r} belongs to a project, maybe to a deleted one: take another key.")


class RevisionTakenError(ConflictError):
    code = "revision_taken"

    def __init__(self, project_id: str) -> None:
        super().__init__(f"Another request changed the project {project_id!r}: read it and decide again.")


class PreconditionFailedError(ConflictError):
    code = "precondition_failed"


class ProducerGapError(ConflictError):
    code = "producer_gap"


class CursorGoneError(TurnlogError):
    """The cursor belongs to a log that a restore has replaced: the same sequences may hold other events now."""

    code = "cursor_gone"

    def __init__(self) -> None:
        super().__init__("This cursor is from before a restore of the sessions: read again from the beginning.")


class AgentNotFoundError(TurnlogError):
    code = "agent_not_found"


class ModelNotAllowedError(TurnlogError):
    code = "model_not_allowed"


class TooLargeError(TurnlogError):
    code = "too_large"


class BatchTooLargeError(TooLargeError):
    def __init__(self, what: str, limit: str) -> None:
        super().__init__(f"This writes {what} at once; the store takes at most {limit}: send less.")


class QueueFullError(TurnlogError):
    code = "queue_full"
    retryable = True


class RateLimitedError(TurnlogError):
    """`retry_after` is the number of seconds after which it is worth trying again."""

    code = "rate_limited"
    retryable = True

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


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
    """The text says what the operator has to know."""

    code = "store_unavailable"
    retryable = True
    sentence = "The store can't be used at the moment: try again."


class PushUnavailableError(TurnlogError):
    code = "fanout_unavailable"
    retryable = True


class WebhookUnreachableError(TurnlogError):
    code = "webhook_unreachable"
    retryable = True


class WebhookTimeoutError(WebhookUnreachableError):
    """The receiver did not answer in time."""


class NotSupportedError(TurnlogError):
    code = "not_supported"


class SessionUnreadableError(NotSupportedError):
    code = "session_unreadable"

    def __init__(self, session_id: SessionId) -> None:
        name = public_id(session_id)
        super().__init__(f"This release cannot read the session {name!r}, which another one has stored.")


class SequenceTakenError(TurnlogError):
    code = "sequence_taken"
    retryable = True

    def __init__(self, session_id: SessionId, sequence: int) -> None:
        super().__init__(f"Another writer has written event {sequence} of the session {public_id(session_id)!r}.")


class ModelError(TurnlogError):
    """A failed model call. A turn can end with it: `failure_code` is the code of the turn's failure.

    `transient` says whether the same call may succeed if it is repeated, `retry_after` how many seconds the server asks
    to wait before that.
    """

    def __init__(self, code: str, detail: str, *, transient: bool, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.failure_code = code
        self.transient = transient
        self.retry_after = retry_after
