"""Events of other producers, appended to a session's log."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from turnlog.domain.chunks import Draft
from turnlog.domain.errors import SequenceTakenError, SessionArchivedError, SessionDeletedError
from turnlog.domain.events import Outside, SessionCreated
from turnlog.domain.ids import SessionId, public_id
from turnlog.domain.producers import ProducerRequest
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument, Producer
from turnlog.ports import Clock, SessionLog
from turnlog.services.log.idempotency import IdempotencyKey, claimed
from turnlog.services.log.writer import Decision, SessionWriter


@dataclass(frozen=True)
class Appended:
    """The sequences of the appended events. `replayed`: an earlier request with the same key appended them."""

    sequences: Sequence[int]
    replayed: bool = False


class OutsideEvents:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def append(
        self,
        owner: str,
        session_id: SessionId,
        events: Sequence[tuple[str, dict[str, Any]]],
        trace_id: str,
        key: IdempotencyKey | ProducerRequest | None = None,
    ) -> Appended:
        """Append events of other producers, all of them or none, and once for a key or a producer's request.

        They belong to no turn, and the running turn ignores them.

        Raises:
            SessionNotFoundError, SessionArchivedError, IdempotencyKeyReusedError
            ProducerFencedError, ProducerGapError, ProducerSeqReusedError
        """
        drafts = [_draft(event_type, fields, trace_id) for event_type, fields in events]
        idempotency_key = key if isinstance(key, IdempotencyKey) else None
        claim = key if isinstance(key, ProducerRequest) else None

        async def decide(state: SessionState) -> Decision[Appended]:
            first, documents = state.head + 1, list[AnyDocument]()
            if claim is not None:
                producer = await self._log.get(Producer, session_id, claim.document_id)
                if (receipt := claim.find_receipt(producer)) is not None:
                    return Decision(
                        Appended(range(receipt.first_sequence, receipt.first_sequence + receipt.count), replayed=True)
                    )
                documents.append(claim.advance(producer, first, len(drafts)))
            if state.archived:
                raise SessionArchivedError
            return Decision(Appended(range(first, first + len(drafts))), drafts, documents, record=str(first))

        async def replay(_: SessionState, first: str) -> Appended:
            return Appended(range(int(first), int(first) + len(drafts)), replayed=True)

        writer = SessionWriter(self._log, self._clock, session_id)
        return await writer.transact(decide, owner=owner, key=idempotency_key, replay=replay)

    async def start(
        self,
        owner: str,
        session_id: SessionId,
        fields: dict[str, Any],
        event: tuple[str, dict[str, Any]],
        trace_id: str,
        *,
        key: IdempotencyKey | ProducerRequest | None = None,
    ) -> Appended:
        """Open a session together with the event that asks for it. If it is open, append the event to it.

        Raises:
            SessionDeletedError, and what `append` raises.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        if await writer.load() is None:
            created = SessionCreated(thread_id=f"thread_{public_id(session_id)}", owner=owner, **fields)
            drafts = [Draft(data=created, trace_id=trace_id), _draft(*event, trace_id)]
            with suppress(SequenceTakenError):  # another request opened it in between
                await writer.append(drafts, _first_records(key, first=2))
                return Appended((2,))
            await writer.load()
        if writer.state.deleted:
            raise SessionDeletedError(session_id)
        return await self.append(owner, session_id, [event], trace_id, key)

    async def append_flat(
        self,
        owner: str,
        session_id: SessionId,
        event: tuple[str, dict[str, Any]],
        trace_id: str,
        *,
        opening: dict[str, Any] | None = None,
        key: IdempotencyKey | ProducerRequest | None = None,
    ) -> Appended:
        """Append one event that names its session itself. `opening` are the fields of the session that it may open.

        Raises:
            What `append` and `start` raise.
        """
        async with claimed(self._log, key if isinstance(key, IdempotencyKey) else None, session_id):
            if opening is None:
                return await self.append(owner, session_id, [event], trace_id, key)
            return await self.start(owner, session_id, opening, event, trace_id, key=key)


def _first_records(key: IdempotencyKey | ProducerRequest | None, first: int) -> Sequence[AnyDocument]:
    """What is written with the one event, at `first`, of a session's first request.

    Raises:
        ProducerGapError: the producer's request is not its first one.
    """
    match key:
        case None:
            return ()
        case IdempotencyKey():
            return (key.record(str(first)),)
        case ProducerRequest():
            key.find_receipt(None)
            return (key.advance(None, first, 1),)


def _draft(event_type: str, fields: dict[str, Any], trace_id: str) -> Draft:
    return Draft(data=Outside(event_type=event_type, fields=fields), trace_id=trace_id)
