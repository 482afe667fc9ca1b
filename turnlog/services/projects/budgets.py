"""Budgets: refuse what is exhausted, and reserve tokens before each model call.

A session runs one call at a time, so its state is enough. Calls of several sessions of a project run at once. Each
reserves tokens in the project's ledger, which only one of them at a time can change.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from turnlog.domain.budget import Budget, Ledger, Reservation
from turnlog.domain.errors import BudgetExceededError, RevisionTakenError, StoreUnavailableError
from turnlog.domain.ids import ProjectId, SessionId
from turnlog.domain.listing import SessionFilter, listing_key
from turnlog.domain.project import Project
from turnlog.domain.session import SessionState
from turnlog.ports import Clock, ModelRequest, ProjectStore, SessionLog
from turnlog.services.log.writer import SessionWriter
from turnlog.services.projects.options import ProjectOptions

_PAGE = 200
_RECOUNT_AFTER = timedelta(minutes=10)
"""After this the sessions are counted again: a call that began before the budget was set has reserved nothing."""

_ANSWER_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_ANSWER_TOKENS = 4096
_BYTES_OF_A_TOKEN = 4

_GRACE = timedelta(minutes=1)
"""A reservation is kept for so long after the turn's deadline."""

_log = logging.getLogger(__name__)


class Budgets:
    def __init__(self, log: SessionLog, store: ProjectStore, clock: Clock, options: ProjectOptions) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._options = options
        self._locks = WeakValueDictionary[ProjectId, asyncio.Lock]()

    async def require_left(self, state: SessionState) -> None:
        """Raises BudgetExceededError: a model call of the session would be refused now. Nothing is written."""
        _require_own_left(state)
        project = await self._options.find(state)
        if project is None or project.budget is None:
            return
        _require_left(project.budget, await self._load(project, state))

    @asynccontextmanager
    async def reserved(self, writer: SessionWriter, tokens: int, deadline: datetime) -> AsyncGenerator[None]:
        """While the body calls the model for the writer's session, `tokens` of its project's budget are reserved.

        If the process dies, the reservation ends after `deadline`.

        Raises:
            BudgetExceededError: nothing is left, or other calls have reserved what is left.
        """
        _require_own_left(writer.state)
        project = await writer.hold(lambda: self._options.find(writer.state))
        if project is None or (budget := project.budget) is None:
            yield
            return
        reserving = (tokens, deadline + _GRACE)
        await writer.hold(lambda: self._reserve(project, budget, writer.state, reserving))
        try:
            yield
        finally:
            await self._settle(project, writer.state)

    async def _reserve(
        self, project: Project, budget: Budget, state: SessionState, reserving: tuple[int, datetime]
    ) -> None:
        tokens, expires_at = reserving
        async with self._lock(project.id):
            while True:
                ledger = await self._load(project, state)
                _require_left(budget, ledger)
                reservation = Reservation(
                    tokens=min(tokens, ledger.left_of(budget)),
                    counted=state.usage.total_tokens,
                    expires_at=expires_at,
                )
                with suppress(RevisionTakenError):
                    await self._store.put_ledger(ledger.reserved(state.session_id, reservation).next_version)
                    return

    async def _settle(self, project: Project, state: SessionState) -> None:
        """End the reservation. If the store is not available, it expires."""
        try:
            async with self._lock(project.id):
                while (ledger := await self._store.ledger(project.id)) is not None:
                    if state.session_id not in ledger.reservations:
                        return
                    with suppress(RevisionTakenError):
                        settled = ledger.settled(state.session_id, state.usage.total_tokens)
                        await self._store.put_ledger(settled.next_version)
                        return
        except StoreUnavailableError as error:
            _log.warning("session %s: its reservation ends when it expires: %s", state.session_id, error)

    async def _load(self, project: Project, own: SessionState) -> Ledger:
        """The ledger with everything that is counted until now; it may not be stored in this form yet.

        It has no reservation of the session `own`: that is a call whose end is recorded, or one that was killed.
        """
        now = self._clock.now()
        ledger = await self._store.ledger(project.id)
        if ledger is None or now - ledger.counted_at >= _RECOUNT_AFTER:
            ledger = ledger or Ledger(project_id=project.id, counted_at=now)
            ledger = ledger.recounted(now, await self._count(project))
        for session_id in ledger.expired(now):
            state = await self._log.state(session_id)
            ledger = ledger.settled(session_id, 0 if state is None else state.usage.total_tokens)
        return ledger.settled(own.session_id, own.usage.total_tokens)

    async def _count(self, project: Project) -> dict[SessionId, int]:
        sessions = list_all_sessions(self._log, project)
        return {state.session_id: state.usage.total_tokens async for state in sessions}

    def _lock(self, project_id: ProjectId) -> asyncio.Lock:
        """Calls of this process wait for each other: they would only take each other's version of the ledger."""
        return self._locks.setdefault(project_id, asyncio.Lock())


_RESERVED = "What is left of the project's budget is reserved by running turns: try again when they have ended."


async def list_all_sessions(log: SessionLog, project: Project) -> AsyncGenerator[SessionState]:
    """All sessions that the project has or had, page by page."""
    wanted = SessionFilter(owner=project.owner_hash, project_id=project.id, with_deleted=True)
    before = None
    while found := await log.sessions(wanted, before=before, limit=_PAGE):
        for state in found:
            if state.is_complete:
                yield state
        before = listing_key(found[-1])


def estimate_tokens(request: ModelRequest) -> int:
    """About how many tokens the call may use: what it sends, and the longest answer that it allows."""
    limits = [request.options.get(name) for name in _ANSWER_LIMITS]
    answer = max((limit for limit in limits if isinstance(limit, int)), default=_ANSWER_TOKENS)
    return request.conversation.size // _BYTES_OF_A_TOKEN + answer


def _require_own_left(state: SessionState) -> None:
    if state.budget is not None and not state.budget.left_after(state.usage.total_tokens):
        raise BudgetExceededError(_used_up("session", state.budget))


def _require_left(budget: Budget, ledger: Ledger) -> None:
    if not ledger.left_of(budget):
        is_used = not budget.left_after(ledger.used)
        raise BudgetExceededError(_used_up("project", budget) if is_used else _RESERVED)


def _used_up(owner: str, budget: Budget) -> str:
    return f"The {owner} has used its budget of {budget.total_tokens} tokens: raise it with PATCH to continue."
