"""Idempotency keys: a retry finds what the first request with its key created."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from turnlog.domain.errors import IdempotencyKeyReusedError, StoreUnavailableError, TurnlogError
from turnlog.domain.ids import SessionId
from turnlog.domain.stored_documents import IdempotencyRecord
from turnlog.ports import SessionLog


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's key. `id` is a hash of caller, method, path and key; `body_hash` is that of the request's body."""

    id: str
    body_hash: str

    def record(self, result: str) -> IdempotencyRecord:
        """The document from which a retry is answered."""
        return IdempotencyRecord(id=self.id, body_hash=self.body_hash, result=result)

    def replayed(self, record: IdempotencyRecord | None) -> str | None:
        """The recorded result of the first request with this key; None if there was none.

        Raises:
            IdempotencyKeyReusedError: the first request had another body.
        """
        if record is None:
            return None
        if record.body_hash != self.body_hash:
            raise IdempotencyKeyReusedError
        return record.result


async def find_result(log: SessionLog, session_id: SessionId, key: IdempotencyKey) -> str | None:
    """What the first request with `key` recorded in the session; None if there was none.

    Raises:
        IdempotencyKeyReusedError: the first request had another body.
    """
    return key.replayed(await log.get(IdempotencyRecord, session_id, key.id))


@dataclass(frozen=True)
class Claim:
    """The id of what a request is to create. `replayed`: an earlier request with its key claimed it first."""

    result: str
    replayed: bool = False


@asynccontextmanager
async def claimed(log: SessionLog, key: IdempotencyKey | None, result: str) -> AsyncGenerator[Claim, None]:
    """Claim `key` for `result`, for requests whose path does not name the session that a retry would find.

    The claim comes first. If the process dies after it, a retry creates what was claimed. A refusal releases the claim.

    Raises:
        IdempotencyKeyReusedError: it was claimed with another body.
    """
    if key is None:
        yield Claim(result)
        return
    record = key.record(result)
    earlier = key.replayed(await log.claim(record))
    try:
        yield Claim(result if earlier is None else earlier, replayed=earlier is not None)
    except StoreUnavailableError:  # the outcome is unknown: a retry finds out
        raise
    except TurnlogError:
        if earlier is None:
            await log.release(record)
        raise
