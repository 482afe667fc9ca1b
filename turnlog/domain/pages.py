"""Pages: what is read together. A page is bounded by its size in bytes, not only by its number of entries."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

MAX_PAGE_BYTES = 512 * 1024
"""What a page of a feed may take in memory. It has one entry at least."""

MAX_RESPONSE_BYTES = 1024 * 1024
"""A response of several entries ends before it is larger. It has one entry at least."""

EVENT_OVERHEAD_BYTES = 2048
"""What an event takes in memory besides its texts."""


class Page(list[T]):
    """Entries in order. `has_more`: the page is full, so others may follow. `size` is the sum of their sizes."""

    def __init__(self, entries: Iterable[T] = (), *, has_more: bool = False, size: int = 0) -> None:
        super().__init__(entries)
        self.has_more = has_more
        self.size = size

    def map(self, function: Callable[[T], U]) -> "Page[U]":
        return Page(map(function, self), has_more=self.has_more, size=self.size)

    def in_order(self, *, newest: bool) -> "Page[T]":
        """The page oldest first. `newest`: its entries were read backwards."""
        if newest:
            self.reverse()
        return self


class PageFiller(Generic[T]):
    """Collects a page's entries until `limit` or `max_bytes` is reached. None is no bound."""

    def __init__(self, limit: int | None, max_bytes: int | None) -> None:
        self._page = Page[T]()
        self._limit = limit
        self._max_bytes = max_bytes

    def has_room(self, size: int) -> bool:
        """Whether an entry of this size fits. If not, the page ends here."""
        page = self._page
        is_full = self._limit is not None and len(page) >= self._limit
        is_large = self._max_bytes is not None and page.size + size > self._max_bytes
        page.has_more = is_full or bool(page and is_large)
        return not page.has_more

    def add(self, entry: T, size: int) -> None:
        self._page.append(entry)
        self._page.size += size

    def page(self) -> Page[T]:
        return self._page


def fill(entries: Iterable[tuple[T, int]], limit: int | None, max_bytes: int | None) -> Page[T]:
    """The first of `entries`, which come with their sizes, that fit on a page together."""
    filler = PageFiller[T](limit, max_bytes)
    for entry, size in entries:
        if not filler.has_room(size):
            break
        filler.add(entry, size)
    return filler.page()
