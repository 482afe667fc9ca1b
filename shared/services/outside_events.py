"""Events of other producers, appended to a session's log."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shared.domain.chunks import (
    Draft,
)
from shared.domain.documents import AnyDocument, IdempotencyRecord, Producer
from shared.domain.errors import (
    SequenceTakenError,
    SessionArchivedError,
    SessionDeletedError,
    SessionExistsError,
)
from shared.domain.events import (
    Outside,
    SessionCreated,
)
from shared.domain.ids import SessionId
from shared.domain.producers import ProducerClaim
from shared.domain.session import SessionState
from shared.ports import Clock, SessionLog
from shared.services.idempotency import IdempotencyKey, claiming
from shared.services.sessions import require_owned
from shared.services.writer import Decision, SessionWriter


@dataclass(frozen=True)
class Appended:
    """The places of what was appended; `replayed` says that an earlier request with the same key did it."""

    sequences: Sequence[int]
    replayed: bool = False


class Events:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def append(
        self,
        owner: str,
        session_id: SessionId,
        events: Sequence[tuple[str, dict[str, Any]]],
        trace_id: str,
        key: IdempotencyKey | ProducerClaim | None = None,
    ) -> Appended:
        """Append events of other producers, all of them or none, and once for a key or a producer's request.

        They belong to no turn: the running one neither sees nor minds them.

        Raises:
            SessionNotFoundError, SessionArchivedError, IdempotencyKeyReusedError
            ProducerFencedError, ProducerGapError, ProducerSeqReusedError
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()
        drafts = [_draft(event_type, fields, trace_id) for event_type, fields in events]

        async def decide(state: SessionState) -> Decision[Appended]:
            require_owned(state, owner, session_id)
            before, record = await self._known(session_id, key, state.head + 1, len(drafts))
            if before is not None:
                return Decision(Appended(before, replayed=True))
            if state.archived:
                raise SessionArchivedError
            sequences = range(state.head + 1, state.head + 1 + len(drafts))
            return Decision(Appended(sequences), drafts, () if record is None else (record,))

        return await writer.settle(decide)

    async def _known(
        self, session_id: SessionId, key: IdempotencyKey | ProducerClaim | None, first: int, count: int
    ) -> tuple[range | None, AnyDocument | None]:
        """Where an earlier request with `key` put its events, or what is to be written with them from `first` on."""
        match key:
            case None:
                return None, None
            case IdempotencyKey():
                record = await self._log.get(IdempotencyRecord, session_id, key.id)
                made = key.replayed(record)
                return (None, key.record(str(first))) if made is None else (range(int(made), int(made) + count), None)
            case ProducerClaim():
                producer = await self._log.get(Producer, session_id, key.document_id)
                receipt = key.replayed(producer)
                if receipt is None:
                    return None, key.carried_out(producer, first, count)
                return range(receipt.first, receipt.first + receipt.count), None

    async def start(
        self,
        owner: str,
        session_id: SessionId,
        fields: dict[str, Any],
        event: tuple[str, dict[str, Any]],
        trace_id: str,
        *,
        key: IdempotencyKey | ProducerClaim | None = None,
    ) -> Appended:
        """Open a session together with the event that asks for it; to one that is open that event is appended.

        Raises:
            SessionExistsError: it is another owner's. SessionDeletedError, and what `append` raises.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        if await writer.load() is None:
            created = SessionCreated(thread_id=f"thread_{session_id}", owner=owner, **fields)
            _, record = await self._known(session_id, key, 2, 1)
            drafts = [Draft(data=created, trace_id=trace_id), _draft(*event, trace_id)]
            with suppress(SequenceTakenError):  # somebody else opened it meanwhile
                await writer.append(drafts, () if record is None else (record,))
                return Appended((2,))
            await writer.load()
        if writer.state.deleted:
            raise SessionDeletedError(session_id)
        if writer.state.owner != owner:
            raise SessionExistsError(session_id)
        return await self.append(owner, session_id, [event], trace_id, key)

    async def append_flat(
        self,
        owner: str,
        session_id: SessionId,
        event: tuple[str, dict[str, Any]],
        trace_id: str,
        *,
        opening: dict[str, Any] | None = None,
        key: IdempotencyKey | ProducerClaim | None = None,
    ) -> Appended:
        """Append one event that names its session itself; `opening` are the fields of the session that it may open.

        Raises:
            What `append` and `start` raise.
        """
        async with claiming(self._log, key if isinstance(key, IdempotencyKey) else None, session_id):
            if opening is None:
                return await self.append(owner, session_id, [event], trace_id, key)
            return await self.start(owner, session_id, opening, event, trace_id, key=key)


def _draft(event_type: str, fields: dict[str, Any], trace_id: str) -> Draft:
    return Draft(data=Outside(event_type=event_type, fields=fields), trace_id=trace_id)
