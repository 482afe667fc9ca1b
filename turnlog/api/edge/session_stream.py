"""A session's log as a stream of server-sent events, and when that stream ends."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from azurefunctions.extensions.http.fastapi import StreamingResponse

from turnlog.api.edge.parameters import cursor_text
from turnlog.api.edge.sse import HEARTBEAT, frame, stream_frames, stream_response
from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.events import envelope, event_data
from turnlog.domain.chunks import Event
from turnlog.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    ReasoningDelta,
    RunStart,
    SessionDeleted,
    TokenUsage,
    ToolCallComplete,
    ToolCallDelta,
    ToolCallStart,
    UserMessage,
)
from turnlog.domain.history import matches
from turnlog.domain.ids import PublicId, SessionId, public_id
from turnlog.domain.session import SessionState
from turnlog.ports import SessionLog
from turnlog.services.log.large_texts import load_text_of
from turnlog.services.log.stream import follow_events

EXAMPLE = """: open

id: 3-8f14e45f
event: message.start
data: {"step":1,"attempt":1,"session_id":"demo","turn_id":"turn_01","message_id":"msg_01_demo"}

id: 4-8f14e45f
event: message.delta
data: {"step":1,"attempt":1,"text":"Once upon","session_id":"demo","turn_id":"turn_01","message_id":"msg_01_demo"}

id: 7-8f14e45f
event: done
data: {"session_id":"demo","head":7,"incarnation":"8f14e45f","reason":"finished"}
"""
# After these events the turn continues, so the session can't have finished.
_WITHIN_TURN = (
    UserMessage,
    RunStart,
    MessageStart,
    MessageDelta,
    ReasoningDelta,
    ToolCallDelta,
    MessageComplete,
    TokenUsage,
    ToolCallStart,
    ToolCallComplete,
)


class Renderer(Protocol):
    """Makes the frames of one stream. A frame that a client can resume from has the id `frame_id`."""

    def render(self, event: Event, frame_id: bytes, /) -> bytes:
        """The frames of an event; none if the stream's protocol has no place for it."""
        ...

    def end(self, data: Mapping[str, Any], frame_id: bytes, /) -> bytes:
        """The frame that says that nothing more will come, and why."""
        ...


class EventFrames:
    """One frame for each event: named by its type, or `whole` and unnamed for clients that read only `data`."""

    def __init__(self, session_id: PublicId, *, whole: bool = False) -> None:
        self._session_id = session_id
        self._whole = whole

    def render(self, event: Event, frame_id: bytes, /) -> bytes:
        if self._whole:
            return frame(frame_id, as_json(envelope(self._session_id, event)))
        return frame(frame_id, as_json(event_data(self._session_id, event)), event.type.encode())

    def end(self, data: Mapping[str, Any], frame_id: bytes, /) -> bytes:
        return frame(frame_id, as_json(data), b"done")


@dataclass(frozen=True)
class StreamOptions:
    """What a client wants to read. `types` are names or patterns (`tool_call.*`); empty means all.

    `renderer`: makes the frames; by default, one named frame for each event. `follow`: continue with later turns.
    `until`: the stream ends with the first event for which this is true. `first`: the events directly after `after`, as
    far as the caller has them. `opening`: frames before all others. `pause`: the last frames, if the stream ends where
    the session is now; none if it continues.
    """

    after: int
    max_duration: timedelta
    renderer: Renderer | None = None
    follow: bool = False
    types: tuple[str, ...] = ()
    until: Callable[[Event], bool] | None = None
    first: Sequence[Event] = ()
    opening: bytes = b""
    pause: Callable[[SessionState], Awaitable[bytes]] | None = None


def session_stream(
    log: SessionLog, session_id: SessionId, options: StreamOptions, headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """The session's log from a cursor, as a response that ends when nothing more will come."""
    batches = follow_events(log, session_id, options.after, min(HEARTBEAT, options.max_duration), options.first)
    return stream_response(stream_frames(batches, _Delivery(log, session_id, options), options.max_duration), headers)


def end_reason(state: SessionState | None, after: int, *, follow: bool) -> str | None:
    """Why a stream that has delivered everything up to `after` ends there; None while more may come."""
    if state is None or state.deleted:
        return "deleted"
    if follow or state.is_open or state.head > after:
        return None
    return "finished"


class _Delivery:
    """The progress of one reader. `is_over` once nothing more will come."""

    def __init__(self, log: SessionLog, session_id: SessionId, options: StreamOptions) -> None:
        self.is_over = False
        self._log = log
        self._session_id = session_id
        self._options = options
        self._renderer = options.renderer or EventFrames(public_id(session_id))
        self._after = options.after
        self._opening = options.opening
        # Whether an event since the last check may have been the session's last one.
        self._may_have_ended = True

    async def deliver(self, events: Sequence[Event], /) -> AsyncGenerator[bytes]:
        if self._opening:
            yield self._open()
        wanted = events[: self._count_wanted(events)]
        self._after = wanted[-1].sequence
        self._may_have_ended |= any(not isinstance(event.data, _WITHIN_TURN) for event in events)
        for event in wanted:
            if matches(event, self._options.types):
                yield await self._frame(event)
        if self.is_over:
            yield self._end("deleted" if isinstance(wanted[-1].data, SessionDeleted) else "finished")

    async def catch_up(self) -> bytes:
        return self._open() + await self._find_end()

    def _open(self) -> bytes:
        opening, self._opening = self._opening, b""
        return opening

    async def _find_end(self) -> bytes:
        """The last frames, if nothing more will come."""
        if not self._may_have_ended:
            return b""
        self._may_have_ended = False
        state = await self._log.state(self._session_id)
        if state is not None and state.deleted and await self._log.read(self._session_id, self._after, 1):
            # The session was deleted between two reads: its last events are delivered first.
            self._may_have_ended = True
            return b""
        if state is not None and self._options.pause is not None and state.head > self._after:
            self._may_have_ended = True  # what was appended in the meantime is delivered before a pause
        elif state is not None and self._options.pause is not None and (last := await self._options.pause(state)):
            self.is_over = True
            return last
        reason = end_reason(state, self._after, follow=self._options.follow)
        return b"" if reason is None else self._end(reason)

    def _count_wanted(self, events: Sequence[Event]) -> int:
        """How many of `events` to deliver: all, or those up to the one at which the client stops."""
        until = self._options.until
        if until is not None:
            for count, event in enumerate(events, start=1):
                if until(event):
                    self.is_over = True
                    return count
        return len(events)

    async def _frame(self, event: Event) -> bytes:
        # Only the frame has the large text, not what this reader holds while it is slow.
        whole = await load_text_of(self._log, self._session_id, event)
        return self._renderer.render(whole, self._id_of(event.sequence))

    def _end(self, reason: str) -> bytes:
        self.is_over = True
        incarnation = self._log.incarnation
        session_id = public_id(self._session_id)
        data = {"session_id": session_id, "head": self._after, "incarnation": incarnation, "reason": reason}
        return self._renderer.end(data, self._id_of(self._after))

    def _id_of(self, sequence: int) -> bytes:
        return cursor_text(sequence, self._log.incarnation).encode()
