"""The deletion of a project: how far it is, which instance carries it out, and when the sweep has to look at it."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Self

from pydantic import AwareDatetime

from turnlog.domain.ids import SessionId
from turnlog.domain.values import Count, Frozen, Ordinal

_MAX_DOUBLINGS = 6


class Deletion(Frozen):
    """The deletion of a project's sessions, page by page. It is stored in the project's tombstone.

    `page` are the sessions that are being deleted now, and `deleted` counts those of the pages before it. The next page
    holds sessions after the listing key `after`. `failed`: a session of this pass over the list could not be deleted.
    `generation` counts the instances, and `stalls` those since the last page that made progress. The sweep looks at the
    deletion at `due_at`; None: never again.
    """

    requested_at: AwareDatetime
    trace_id: str | None = None
    generation: Ordinal = 1
    deleted: Count = 0
    page: tuple[SessionId, ...] = ()
    after: str | None = None
    failed: bool = False
    stalls: Count = 0
    due_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None

    @property
    def listed(self) -> int:
        """How many sessions were found up to now: the deleted ones and the current page."""
        return self.deleted + len(self.page)

    def next_page(self, page: Collection[SessionId], after: str | None, due_at: datetime) -> Self:
        """The deletion when `page` is next, and all sessions of the page before it are deleted or noted as failed."""
        return self.model_copy(update={"page": tuple(page), "after": after, "due_at": due_at, "ended_at": None})

    def page_deleted(self, failures: int) -> Self:
        """The deletion after all sessions of its page were tried."""
        deleted = len(self.page) - failures
        return self.model_copy(
            update={
                "deleted": self.deleted + deleted,
                "page": (),
                "failed": self.failed or failures > 0,
                "stalls": 0 if deleted else self.stalls,
            }
        )

    def next_pass(self) -> Self:
        """The deletion when the list is read from its beginning again, for the sessions that could not be deleted."""
        return self.model_copy(update={"after": None, "failed": False})

    def handed_over(self) -> Self:
        """The deletion when another instance carries it out. The instance before it is superseded."""
        return self.model_copy(update={"generation": self.generation + 1})

    def stalled(self, now: datetime, pause: timedelta) -> Self:
        """The deletion when its instance was silent, and is replaced. The sweep waits longer each time."""
        due_at = now + pause * 2 ** min(self.stalls, _MAX_DOUBLINGS)
        return self.handed_over().model_copy(update={"stalls": self.stalls + 1, "due_at": due_at})

    def checked(self, now: datetime, pause: timedelta, grace: timedelta) -> Self:
        """The deletion when no session was found.

        A request that began before the last session was deleted may still open or copy one, until `grace` is over. The
        sweep looks again, after a pause that doubles.
        """
        ended_at = self.ended_at or now
        age = now - ended_at
        due_at = None if age >= grace else min(ended_at + grace, now + max(age, pause))
        return self.model_copy(update={"page": (), "after": None, "due_at": due_at, "ended_at": ended_at})
