"""Runs: a front end starts or continues a turn under an id of its own, in a session that need not exist yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnlog.domain.actions import Resolution
from turnlog.domain.errors import (
    InvalidRequestError,
    NotWaitingError,
    SequenceTakenError,
    SessionDeletedError,
    SessionNotFoundError,
)
from turnlog.domain.events import SessionCreated
from turnlog.domain.ids import MessageId, SessionId, public_id
from turnlog.domain.session import SessionState, require_owned
from turnlog.domain.stored_documents import Message
from turnlog.ports import SessionLog, TurnScheduler
from turnlog.services.log.idempotency import IdempotencyKey, find_result
from turnlog.services.messages import Messages
from turnlog.services.turns.approvals import Approvals, DecisionRequest, recorded_message_id
from turnlog.services.turns.submit import NewMessage, Submission, Turns


@dataclass(frozen=True)
class RunRequest:
    """What a run does: it decides on calls for which the turn waits, or it posts `new`.

    `decisions` are those that the client names. `results` are by the ids of the calls; those that the session does not
    wait for are left out. `only_results`: the client sent them instead of a message. `key`: of the run's id.
    """

    key: IdempotencyKey
    trace_id: str
    new: NewMessage | None = None
    decisions: Mapping[str, Resolution] = field(default_factory=dict[str, Resolution])
    results: Mapping[str, Resolution] = field(default_factory=dict[str, Resolution])
    only_results: bool = False


@dataclass(frozen=True)
class StartedRun:
    """A run whose turn is in the log. `after`: the cursor from which the run's own events are read.

    `replayed`: an earlier request with the same id started it, and `after` is the start of the whole turn.
    `submission`: of the message that this request posted.
    """

    message: Message
    after: int
    replayed: bool = False
    submission: Submission | None = None


class Runs:
    def __init__(self, log: SessionLog, turns: Turns, approvals: Approvals) -> None:
        self._log = log
        self._turns = turns
        self._approvals = approvals
        self._messages = Messages(log)

    async def start(
        self, owner: str, session_id: SessionId, request: RunRequest, scheduler: TurnScheduler
    ) -> StartedRun:
        """Start the run, or find the one that an earlier request with the same id started.

        Raises:
            SessionDeletedError, SessionNotFoundError (decisions on a session that does not exist), NotWaitingError,
            InvalidRequestError, and the errors of `Turns.submit` and `Approvals.decide`: and nothing was written.
        """
        while (state := await self._log.state(session_id)) is None:
            if request.decisions or request.only_results:
                raise SessionNotFoundError(session_id)
            new = _require_message(request)
            created = SessionCreated(thread_id=f"thread_{public_id(session_id)}", owner=owner, agent_name=new.agent)
            try:
                return started_by(await self._turns.open(created, session_id, new, scheduler, request.key))
            except SequenceTakenError:
                continue  # another request opened the session in the meantime
        if state.deleted:
            raise SessionDeletedError(session_id)
        require_owned(state, owner, session_id)
        return await self._start_in(owner, state, request, scheduler)

    async def _start_in(
        self, owner: str, state: SessionState, request: RunRequest, scheduler: TurnScheduler
    ) -> StartedRun:
        session_id = state.session_id
        if (record := await find_result(self._log, session_id, request.key)) is not None:
            return await self._find(owner, recorded_message_id(record))
        resolutions = _resolutions(state, request)
        if not resolutions:
            new = _require_message(request)
            return started_by(await self._turns.submit(owner, session_id, new, scheduler, request.key))
        decisions = DecisionRequest(resolutions, request.trace_id)
        decided = await self._approvals.decide(owner, session_id, decisions, scheduler, request.key)
        if decided.replayed:
            return await self._find(owner, decided.message_id)
        return StartedRun(await self._messages.get(owner, decided.message_id), decided.after)

    async def _find(self, owner: str, message_id: MessageId) -> StartedRun:
        message = await self._messages.get(owner, message_id)
        return StartedRun(message, message.sequence - 1, replayed=True)


def started_by(submission: Submission) -> StartedRun:
    return StartedRun(submission.message, submission.after, submission.replayed, submission)


def _require_message(request: RunRequest) -> NewMessage:
    if request.new is None:
        raise InvalidRequestError(
            "The run has nothing to do: there is no message of the user, and no answer to a call."
        )
    return request.new


def _resolutions(state: SessionState, request: RunRequest) -> Mapping[str, Resolution]:
    """What the run decides: all that it names, and the results for which the session waits."""
    turn = state.active_turn
    open_actions = {} if turn is None else turn.open_actions
    results = {
        call_id: result
        for call_id, result in request.results.items()
        if call_id in open_actions and open_actions[call_id].kind == "client_tool"
    }
    if request.only_results and not results and not request.decisions:
        raise NotWaitingError("The newest message is the result of a tool call, and no turn waits for it.")
    return {**results, **request.decisions}
