"""Pages are bounded in bytes: one entry at least, and nothing is lost between two pages."""

import pytest

from tests.contract.factories import append_events, create_session, delta, message, sequences
from turnlog.domain.chunks import Chunk
from turnlog.domain.events import Outside
from turnlog.domain.ids import SessionId, owner_hash
from turnlog.domain.listing import SessionFilter, listing_key
from turnlog.domain.pages import MAX_PAGE_BYTES, MAX_RESPONSE_BYTES, Page
from turnlog.domain.rooms import Room
from turnlog.domain.stored_documents import Message
from turnlog.ports import RoomFeed, SessionLog

pytestmark = pytest.mark.anyio

LARGE = "x" * 200_000


def large(count: int = 1) -> list[Outside]:
    return [Outside(event_type="x", fields={"text": LARGE}) for _ in range(count)]


async def read_pages(log: SessionLog, session: SessionId, *, newest: bool) -> list[Page[Chunk]]:
    """All pages of a log, from either end."""
    after, before, pages = 0, 1_000_000, list[Page[Chunk]]()
    while not pages or pages[-1].has_more:
        page = await log.read(session, after, 100, before=before, newest=newest)
        if not page:
            break
        pages.append(page)
        after, before = (after, page[0].first) if newest else (page[-1].last, before)
    return pages


@pytest.mark.parametrize("newest", [False, True])
async def test_a_page_of_the_log_ends_before_it_is_too_large(log: SessionLog, *, newest: bool) -> None:
    state = await create_session(log)
    for _ in range(5):
        state = await append_events(log, state, *large())
    state = await append_events(log, state, *large(5))  # one chunk that is too large for a page with another one
    state = await append_events(log, state, delta())

    pages = await read_pages(log, state.session_id, newest=newest)

    in_order = pages[::-1] if newest else pages
    assert [sequence for page in in_order for sequence in sequences(page)] == list(range(1, state.head + 1))
    assert all(page.size <= MAX_PAGE_BYTES or len(page) == 1 for page in pages)
    assert len(pages) > 3


async def test_a_page_that_holds_everything_says_so(log: SessionLog) -> None:
    state = await append_events(log, await create_session(log), delta())

    assert not (await log.read(state.session_id, 0, 10)).has_more
    assert (await log.read(state.session_id, 0, 1)).has_more


async def test_the_newest_chunks_of_a_type_are_bounded(log: SessionLog) -> None:
    state = await create_session(log)
    for _ in range(7):
        state = await append_events(log, state, *large())

    found = await log.newest_of_type(state.session_id, "x", 1000)

    assert sequences(found) == [4, 5, 6, 7, 8]
    assert found.size <= MAX_RESPONSE_BYTES


@pytest.mark.parametrize("newest", [False, True])
async def test_documents_are_bounded_if_the_reader_asks_for_it(log: SessionLog, *, newest: bool) -> None:
    state = await create_session(log)
    for number in range(1, 5):
        await log.put(state.session_id, message(state, number, number, content=LARGE))

    bounded = await log.find(Message, state.session_id, limit=10, newest=newest, max_bytes=500_000)
    single = await log.find(Message, state.session_id, limit=10, newest=newest, max_bytes=1)

    assert [each.sequence for each in bounded] == ([3, 4] if newest else [1, 2])
    assert bounded.has_more
    assert [each.sequence for each in single] == ([4] if newest else [1])
    assert len(await log.find(Message, state.session_id, limit=10)) == 4


async def test_a_list_of_sessions_is_bounded(log: SessionLog) -> None:
    owner = "owner of large sessions"
    for _ in range(7):
        await create_session(log, owner=owner, session_name=LARGE)

    first = await log.sessions(SessionFilter(owner=owner_hash(owner)), before=None, limit=100)
    rest = await log.sessions(SessionFilter(owner=owner_hash(owner)), before=listing_key(first[-1]), limit=100)

    assert (len(first), first.has_more) == (5, True)
    assert len({state.session_id for state in (*first, *rest)}) == 7
    assert not rest.has_more


async def test_a_page_of_a_room_ends_before_it_is_too_large(log: SessionLog, feed: RoomFeed) -> None:
    owner = "owner of a large room"
    room, state = Room(owner_hash(owner)), await create_session(log, owner=owner)
    for _ in range(5):
        state = await append_events(log, state, *large())

    read, after, pages = list[int](), 0, 0
    while page := await feed.read(room, after, 100):
        assert page.size <= MAX_PAGE_BYTES or len(page) == 1
        read += [event.sequence for entry in page for event in entry.events]
        after, pages = page[-1].cursor, pages + 1

    assert read == [1, 2, 3, 4, 5, 6]
    assert pages > 1
