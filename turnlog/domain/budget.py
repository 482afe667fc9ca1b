"""Budgets of tokens: what a session or a project may use, and what running calls have reserved of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self, TypeAlias

from pydantic import AwareDatetime, Field

from turnlog.domain.ids import ProjectId, SessionId
from turnlog.domain.values import Count, Frozen, Ordinal


class Budget(Frozen):
    """How many tokens may be used in all, from the beginning on."""

    total_tokens: Ordinal

    def left_after(self, used: int) -> int:
        """How many tokens are left; never negative."""
        return max(0, self.total_tokens - used)


OptionalBudget: TypeAlias = Annotated[Budget | None, Field(exclude_if=lambda budget: budget is None)]


class Reservation(Frozen):
    """What the running model call of a session may use of its project's budget.

    `counted` are the tokens of the session that the ledger has counted. The reservation ends when the call is recorded,
    or at `expires_at`, when the turn's time is over.
    """

    tokens: Count
    counted: Count
    expires_at: AwareDatetime


class Ledger(Frozen):
    """The account of a project's budget. `version` counts its changes, so that only one of two writers is first.

    `used` are the tokens that the sessions' logs have, as far as they are counted. All of them were read at
    `counted_at`; since then, each reservation adds what its session has used when it ends.
    """

    project_id: ProjectId
    version: Count = 0
    used: Count = 0
    counted_at: AwareDatetime
    reservations: dict[SessionId, Reservation] = {}

    def recounted(self, at: datetime, usage: Mapping[SessionId, int]) -> Self:
        """The ledger after all sessions were read. `usage` are the tokens that each has used."""
        counted = {
            session_id: reservation.model_copy(update={"counted": usage.get(session_id, reservation.counted)})
            for session_id, reservation in self.reservations.items()
        }
        return self.model_copy(update={"used": sum(usage.values()), "counted_at": at, "reservations": counted})

    def settled(self, session_id: SessionId, used: int) -> Self:
        """The ledger without the session's reservation. `used` are all tokens of the session."""
        if (reservation := self.reservations.get(session_id)) is None:
            return self
        others = {other: each for other, each in self.reservations.items() if other != session_id}
        more = max(0, used - reservation.counted)
        return self.model_copy(update={"used": self.used + more, "reservations": others})

    def reserved(self, session_id: SessionId, reservation: Reservation) -> Self:
        return self.model_copy(update={"reservations": {**self.reservations, session_id: reservation}})

    def left_of(self, budget: Budget) -> int:
        """How many tokens are neither used nor reserved; never negative."""
        return budget.left_after(self.used + sum(each.tokens for each in self.reservations.values()))

    def expired(self, now: datetime) -> list[SessionId]:
        """The sessions whose reservations are over: their calls were never recorded as ended."""
        return [session_id for session_id, each in self.reservations.items() if each.expires_at <= now]

    @property
    def next_version(self) -> Self:
        return self.model_copy(update={"version": self.version + 1})
