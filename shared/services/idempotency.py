"""Idempotency keys: what a request with one made is found again by a retry."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.domain.documents import IdempotencyRecord
from shared.domain.errors import IdempotencyKeyReusedError, StoreUnavailableError, TurnlogError
from shared.ports import SessionLog


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's key, bound to caller, method and path by `id`, and the hash of the body it came with."""

    id: str
    body_hash: str

    def record(self, result: str) -> IdempotencyRecord:
        return IdempotencyRecord(id=self.id, body_hash=self.body_hash, result=result)

    def replayed(self, record: IdempotencyRecord | None) -> str | None:
        """What the first request with this key made; None if this is the first.

        Raises:
            IdempotencyKeyReusedError: the first one had another body.
        """
        if record is None:
            return None
        if record.body_hash != self.body_hash:
            raise IdempotencyKeyReusedError
        return record.result


@dataclass(frozen=True)
class Claim:
    """What a request is to make. `replayed`: an earlier one with its key set out to make it, and may have done so."""

    result: str
    replayed: bool = False


@asynccontextmanager
async def claiming(log: SessionLog, key: IdempotencyKey | None, result: str) -> AsyncGenerator[Claim, None]:
    """Take `key` for `result` where the path doesn't say in which session a retry would find it.

    The claim comes first: who dies behind it leaves it to a retry, which makes what was claimed. A refusal gives it up.

    Raises:
        IdempotencyKeyReusedError: it was taken with another body.
    """
    if key is None:
        yield Claim(result)
        return
    record = key.record(result)
    made = key.replayed(await log.claim(record))
    try:
        yield Claim(result if made is None else made, replayed=made is not None)
    except StoreUnavailableError:  # nobody knows what has become of it: a retry finds out
        raise
    except TurnlogError:
        if made is None:
            await log.release(record)
        raise
