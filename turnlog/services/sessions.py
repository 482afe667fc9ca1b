"""Sessions: open, look up, list, change, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic_core import to_json

from turnlog.domain.chunks import Draft, Event
from turnlog.domain.errors import (
    InvalidRequestError,
    NoResultError,
    NotFinishedError,
    SequenceTakenError,
    SessionDeletedError,
    SessionExistsError,
    SessionNotFoundError,
    SessionUnreadableError,
)
from turnlog.domain.events import SessionCreated, SessionDeleted, SessionUpdated, Status
from turnlog.domain.fold import event_text
from turnlog.domain.ids import SessionId, is_public_id, new_session_id, public_id
from turnlog.domain.listing import SessionFilter, decode_cursor, encode_cursor, listing_key
from turnlog.domain.pages import MAX_RESPONSE_BYTES, PageFiller, fill
from turnlog.domain.session import MAX_METADATA_BYTES, Action, SessionState, require_owned
from turnlog.domain.sizes import size_of
from turnlog.domain.turn_events import turn_drafts
from turnlog.domain.values import MAX_ANSWER_BYTES
from turnlog.ports import Clock, SessionLog
from turnlog.services.log.idempotency import IdempotencyKey, claimed, find_result
from turnlog.services.log.large_texts import event_size, load_text_of, load_texts
from turnlog.services.log.steps import load_open_actions
from turnlog.services.log.writer import Decision, SessionWriter

_VIEW_BYTES = 2048  # a session without its diagnosis and its metadata
_EMPTY: dict[str, Any] = {"metadata": {}, "archived": False}


@dataclass(frozen=True)
class Page:
    sessions: Sequence[SessionState]
    next_cursor: str | None


class Sessions:
    def __init__(self, log: SessionLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def create(
        self,
        owner: str,
        fields: dict[str, Any],
        session_id: SessionId | None,
        trace_id: str,
        key: IdempotencyKey | None = None,
    ) -> tuple[SessionState, bool]:
        """Open a session, or find the one that a request with the same key opened: then the flag is True.

        Raises:
            SessionExistsError, SessionDeletedError: the id is taken. IdempotencyKeyReusedError.
        """
        proposed = session_id or new_session_id(owner, self._clock.now())
        async with claimed(self._log, key, proposed) as claim:
            claimed_id = SessionId(claim.result)
            created = SessionCreated(thread_id=f"thread_{public_id(claimed_id)}", owner=owner, **fields)
            writer = SessionWriter(self._log, self._clock, claimed_id)
            try:
                documents = () if key is None else (key.record(claimed_id),)
                await writer.append([Draft(data=created, trace_id=trace_id)], documents)
            except SequenceTakenError:
                return await self._opened_before(owner, claimed_id, key), True
            return writer.state, False

    async def _opened_before(self, owner: str, session_id: SessionId, key: IdempotencyKey | None) -> SessionState:
        """The session that an earlier request with `key` opened."""
        state = await self._log.state(session_id)
        if state is not None and state.deleted:
            raise SessionDeletedError(session_id)
        is_own = key is not None and await find_result(self._log, session_id, key) is not None
        if state is None or state.owner != owner or not is_own:
            raise SessionExistsError(session_id)
        return state

    async def get(self, owner: str, session_id: SessionId) -> SessionState:
        """The session as it is now.

        Raises:
            SessionNotFoundError: there is no such session, it was deleted, or it belongs to another owner.
        """
        found = await self._log.state(session_id) if is_public_id(public_id(session_id)) else None
        return require_owned(found, owner, session_id)

    async def status(self, owner: str, session_id: SessionId) -> Literal["running", "finished", "not_existent"]:
        """The session's status; `not_existent` also for another owner's session."""
        try:
            return (await self.get(owner, session_id)).status
        except SessionNotFoundError:
            return "not_existent"

    async def result(self, owner: str, session_id: SessionId) -> str:
        """The text of the last assistant message.

        Raises:
            SessionNotFoundError, NotFinishedError, NoResultError
        """
        state = await self.get(owner, session_id)
        if state.status != "finished":
            raise NotFinishedError("The session is still running: ask again when its status is finished.")
        text = await self._text_at(session_id, state.result_sequence) if state.result_sequence else None
        if text is None:
            raise NoResultError("The session has no assistant message.")
        return text

    async def _text_at(self, session_id: SessionId, sequence: int) -> str | None:
        """The text of an event; None if the event has none."""
        chunks = await self._log.read(session_id, sequence - 1, 1)
        events = [event for chunk in chunks for event in chunk.events if event.sequence == sequence]
        for event in await load_texts(self._log, session_id, events):
            return event_text(event.data)
        return None

    async def diagnosis(self, state: SessionState) -> str | None:
        """The text of the last `message.complete`."""
        if not state.diagnosis_sequence:
            return state.diagnosis
        return await self._text_at(state.session_id, state.diagnosis_sequence)

    async def required_action(self, state: SessionState) -> Mapping[str, Action]:
        """What the session's turn waits for, by the ids of the tool calls."""
        return await load_open_actions(self._log, state)

    async def newest_events(self, session_id: SessionId, event_type: str, limit: int) -> Sequence[Event]:
        """The newest `limit` events of a type, oldest first."""
        chunks = await self._log.newest_of_type(session_id, event_type, limit)
        events = [event for chunk in chunks for event in chunk.events if event.type == event_type][-limit:]
        return await load_texts(self._log, session_id, events)

    async def tail(self, state: SessionState, limit: int) -> Sequence[Event]:
        """The newest `limit` events, oldest first; fewer if they are larger than `MAX_RESPONSE_BYTES` together."""
        filler, before = PageFiller[Event](limit, MAX_RESPONSE_BYTES), state.head + 1
        while chunks := await self._log.read(state.session_id, 0, limit, before=before, newest=True):
            for event in reversed([event for chunk in chunks for event in chunk.events if event.sequence < before]):
                whole = await load_text_of(self._log, state.session_id, event)
                if not filler.has_room(size := event_size(whole)):
                    return filler.page()[::-1]
                filler.add(whole, size)
            before = chunks[0].first
        return filler.page()[::-1]

    async def list(self, wanted: SessionFilter, cursor: str | None, limit: int) -> Page:
        """A page of sessions, newest first.

        Raises:
            InvalidRequestError: the cursor did not come from this list.
        """
        before = None if cursor is None else decode_cursor(cursor)
        sessions = await self._log.sessions(wanted, before=before, limit=limit + 1)
        sized = ((state, view_size(state)) for state in sessions)
        page = fill(sized, limit, MAX_RESPONSE_BYTES)
        has_more = page.has_more or (sessions.has_more and len(page) == len(sessions))
        return Page(page, encode_cursor(listing_key(page[-1])) if has_more else None)

    async def update(self, owner: str, session_id: SessionId, patch: dict[str, Any], trace_id: str) -> SessionState:
        """Change the fields of `patch` (RFC 7396: null clears, objects merge)."""
        writer = SessionWriter(self._log, self._clock, session_id)

        async def decide(state: SessionState) -> Decision[None]:
            changes = _changed(state, patch)
            drafts = [Draft(data=SessionUpdated(changes=changes), trace_id=trace_id)] if changes else []
            return Decision(None, drafts)

        await writer.transact(decide, owner=owner)
        return writer.state

    async def delete(self, owner: str, session_id: SessionId, trace_id: str | None) -> SessionState:
        """End the running turn and the session, and return its tombstone. From now on the session is not found."""

        async def decide(state: SessionState) -> Decision[None]:
            return Decision(None, _deletion(state, trace_id))

        writer = await self._writer_of(session_id)
        await writer.transact(decide, owner=owner)
        return writer.state

    async def delete_listed(self, session_id: SessionId, trace_id: str | None) -> None:
        """Delete a session like `delete`, where only the hash of its owner is known. It may be deleted already."""

        async def decide(state: SessionState) -> Decision[None]:
            return Decision(None, [] if state.deleted else _deletion(state, trace_id))

        writer = await self._writer_of(session_id)
        await writer.transact(decide)

    async def _writer_of(self, session_id: SessionId) -> SessionWriter:
        """A writer of a session, also if this release can read only what remains of it."""
        writer = SessionWriter(self._log, self._clock, session_id)
        try:
            await writer.load()
        except SessionUnreadableError:
            await writer.load_remains()
        return writer

    async def delete_idle(self, found: SessionState, before: datetime) -> bool:
        """Delete a session like `delete`, unless something has happened in it since `before`. True if deleted."""

        async def decide(state: SessionState) -> Decision[bool]:
            if state.deleted or state.updated_at >= before:
                return Decision(result=False)
            return Decision(True, _deletion(state, None))  # noqa: FBT003

        return await SessionWriter(self._log, self._clock, found.session_id).transact(decide)


def _deletion(state: SessionState, trace_id: str | None) -> Sequence[Draft]:
    turn = state.active_turn
    stop = Status(status="cancelling", reason="session deleted")
    drafts = [] if turn is None else turn_drafts(turn, stop, trace_id=trace_id)
    return [*drafts, Draft(data=SessionDeleted(), trace_id=trace_id)]


def view_size(state: SessionState) -> int:
    """About how many bytes a response has for `state`. A large `diagnosis` is counted with the size it may have."""
    diagnosis = MAX_ANSWER_BYTES if state.diagnosis_sequence else size_of(state.diagnosis or "")
    return _VIEW_BYTES + diagnosis + len(to_json(state.metadata))


def _changed(state: SessionState, patch: dict[str, Any]) -> dict[str, Any]:
    """The fields that `patch` gives a new value."""
    merged = {name: merge_patch(getattr(state, name), value) for name, value in patch.items()}
    cleared = {name: _EMPTY[name] if value is None and name in _EMPTY else value for name, value in merged.items()}
    if len(to_json(cleared.get("metadata"))) > MAX_METADATA_BYTES:
        raise InvalidRequestError(f"metadata would grow beyond {MAX_METADATA_BYTES // 1024} KB.")
    # Compared as JSON, because 1 and true are equal in Python.
    return {name: value for name, value in cleared.items() if to_json(value) != to_json(getattr(state, name))}


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` after the JSON Merge Patch `patch` (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Any] = dict(target) if isinstance(target, dict) else {}  # pyright: ignore[reportUnknownArgumentType]
    for name, value in patch.items():  # pyright: ignore[reportUnknownVariableType]
        if value is None:
            merged.pop(str(name), None)  # pyright: ignore[reportUnknownArgumentType]
        else:
            merged[str(name)] = merge_patch(merged.get(str(name)), value)  # pyright: ignore[reportUnknownArgumentType]
    return merged
