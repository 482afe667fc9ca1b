"""Idempotency records that belong to no session: one of many claims wins, and only that one can be released."""

import asyncio
from uuid import uuid4

import pytest

from turnlog.domain.listing import SessionFilter
from turnlog.domain.stored_documents import IdempotencyRecord
from turnlog.ports import SessionLog

pytestmark = pytest.mark.anyio


class ShortRecord(IdempotencyRecord):
    """A record that expires at once."""

    expires_after = 0


def _record(result: str = "ses_1", key: str | None = None) -> IdempotencyRecord:
    return IdempotencyRecord(id=key or uuid4().hex, body_hash="hash", result=result)


async def test_the_first_claim_wins_and_is_returned_to_all_others(log: SessionLog, elsewhere: SessionLog) -> None:
    first = _record()

    assert await log.claim(first) is None

    assert await elsewhere.claim(_record("ses_2", first.id)) == first
    assert await log.claim(first) == first
    assert await log.claim(_record()) is None


async def test_one_of_many_concurrent_claims_wins(log: SessionLog, elsewhere: SessionLog) -> None:
    key = uuid4().hex
    records = [_record(f"ses_{number}", key) for number in range(12)]

    answers = await asyncio.gather(
        *((log if number % 2 else elsewhere).claim(record) for number, record in enumerate(records))
    )

    (first,) = [record for record, answer in zip(records, answers, strict=True) if answer is None]
    assert all(answer == first for answer in answers if answer is not None)


async def test_only_the_stored_record_is_released(log: SessionLog, elsewhere: SessionLog) -> None:
    record, other = _record(), _record("ses_2")
    await log.claim(record)

    await elsewhere.release(_record("ses_2", record.id))
    await elsewhere.release(other)
    assert await log.claim(record) == record

    await log.release(record)
    await log.release(record)
    assert await elsewhere.claim(_record("ses_2", record.id)) is None


@pytest.mark.needs("expiry")
async def test_an_expired_claim_can_be_claimed_by_another(log: SessionLog) -> None:
    short = ShortRecord(id=uuid4().hex, body_hash="hash", result="ses_1")
    await log.claim(short)

    assert await log.claim(_record("ses_2", short.id)) is None


async def test_a_claim_is_not_listed_as_a_session(log: SessionLog) -> None:
    before = len(await log.sessions(SessionFilter(with_deleted=True), before=None, limit=1000))

    await log.claim(_record())

    assert len(await log.sessions(SessionFilter(with_deleted=True), before=None, limit=1000)) == before
