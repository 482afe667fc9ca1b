"""Feeds: entries in order, which readers replay from a cursor and then follow. Sessions and rooms have feeds."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Protocol, TypeVar

from turnlog.domain.pages import Page


class Entry(Protocol):
    """What a feed holds."""

    @property
    def cursor(self) -> int:
        """Where a reader resumes after this entry."""
        ...

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes."""
        ...

    def continues(self, after: int) -> bool:
        """Whether no other entry can be between the cursor `after` and this one."""
        ...


E = TypeVar("E", bound=Entry)
E_co = TypeVar("E_co", bound=Entry, covariant=True)
K = TypeVar("K")
K_contra = TypeVar("K_contra", contravariant=True)


class Tail(Protocol[E_co]):
    """A reader that waits for new entries."""

    async def wait(
        self, after: int, timeout: timedelta, ignores: Callable[[E_co], bool] | None = None
    ) -> Sequence[E_co]:
        """Wait until there may be entries later than `after`, or until `timeout` is over.

        Returns entries that follow `after` without a gap if they are cached. An empty answer promises nothing: read.
        A new entry that the reader `ignores` does not end the wait.
        """
        ...


class Feed(Protocol[K_contra, E]):
    """The feeds of one kind, each with its key."""

    async def read(self, key: K_contra, after: int, limit: int, /) -> Page[E]:
        """The first entries that are later than `after`, oldest first: at most `limit` and `MAX_PAGE_BYTES`."""
        ...

    def watch(self, key: K_contra, /, *, polls: bool = True) -> AbstractContextManager[Tail[E]]:
        """Watch from now on: `Tail.wait` misses nothing that is appended after this call.

        `polls=False`: the reader never polls. It may learn late of what other processes append, and costs nothing.
        """
        ...
