"""A session's log as server-sent events, and when its stream ends (html.spec.whatwg.org, "Server-sent events")."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from azurefunctions.extensions.http.fastapi import StreamingResponse

from shared.api.edge import framing
from shared.api.edge.framing import frame_of
from shared.api.shapes.views import as_json, envelope, event_data
from shared.domain.chunks import Event
from shared.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    RunStart,
    SessionDeleted,
    TokenUsage,
    ToolCallComplete,
    ToolCallStart,
    UserMessage,
)
from shared.domain.history import matches
from shared.domain.ids import SessionId
from shared.domain.session import SessionState
from shared.ports import SessionLog
from shared.services.large_texts import load_texts
from shared.services.stream import follow_events

EXAMPLE = """: open

id: 3
event: message.start
data: {"step":1,"attempt":1,"session_id":"demo","turn_id":"turn_01","message_id":"msg_01_demo"}

id: 4
event: message.delta
data: {"step":1,"attempt":1,"text":"Once upon","session_id":"demo","turn_id":"turn_01","message_id":"msg_01_demo"}

id: 7
event: done
data: {"session_id":"demo","head":7,"reason":"finished"}
"""
# A turn that is doing this goes on: no need to ask whether the session has ended.
_GOES_ON = (
    UserMessage,
    RunStart,
    MessageStart,
    MessageDelta,
    MessageComplete,
    TokenUsage,
    ToolCallStart,
    ToolCallComplete,
)


@dataclass(frozen=True)
class StreamOptions:
    """How a client wants its stream. `types` are names or patterns such as `tool_call.*`; empty means all.

    `follow`: go on to later turns. `until`: the event after which nothing is wanted any more.
    """

    after: int
    lasting: timedelta
    envelope: bool = False
    follow: bool = False
    types: tuple[str, ...] = ()
    until: Callable[[Event], bool] | None = None


def event_stream(
    log: SessionLog, session_id: SessionId, options: StreamOptions, headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """The session's log from a cursor on, as a response that ends when nothing more will come."""
    batches = follow_events(log, session_id, options.after, min(framing.HEARTBEAT, options.lasting))
    frames = framing.paced(batches, _Delivery(log, session_id, options), options.lasting)
    return framing.streaming(frames, headers)


class _Delivery:
    """One reader's progress. `over` once nothing more will come."""

    def __init__(self, log: SessionLog, session_id: SessionId, options: StreamOptions) -> None:
        self.over = False
        self._log = log
        self._session_id = session_id
        self._options = options
        self._position = options.after
        # Whether something has happened, since we last asked, that may have been the last thing to happen.
        self._may_have_ended = True

    async def delivered(self, events: Sequence[Event]) -> bytes:
        wanted = events[: self._last_wanted(events)]
        self._position = wanted[-1].sequence
        self._may_have_ended |= any(not isinstance(event.data, _GOES_ON) for event in events)
        frames = _framed(self._session_id, await load_texts(self._log, self._session_id, wanted), self._options)
        if not self.over:
            return frames
        return frames + self._done("deleted" if isinstance(wanted[-1].data, SessionDeleted) else "finished")

    async def caught_up(self) -> bytes:
        if not self._may_have_ended:
            return b""
        self._may_have_ended = False
        state = await self._log.state(self._session_id)
        if state is not None and state.deleted and await self._log.read(self._session_id, self._position, 1):
            # Deleted between two looks: its last events are still there, and are delivered first.
            self._may_have_ended = True
            return b""
        reason = ending(state, self._position, follow=self._options.follow)
        return b"" if reason is None else self._done(reason)

    def _last_wanted(self, events: Sequence[Event]) -> int:
        """How many of `events` are wanted: all, or those up to the one the client waited for."""
        until = self._options.until
        if until is not None:
            for place, event in enumerate(events, start=1):
                if until(event):
                    self.over = True
                    return place
        return len(events)

    def _done(self, reason: str) -> bytes:
        self.over = True
        return done(self._session_id, self._position, reason)


def _framed(session_id: SessionId, events: Sequence[Event], options: StreamOptions) -> bytes:
    return b"".join(
        frame(session_id, event, whole=options.envelope) for event in events if matches(event, options.types)
    )


def frame(session_id: SessionId, event: Event, *, whole: bool) -> bytes:
    """One event as a frame: named by its type, or `whole` and unnamed for clients that read only `data`."""
    if whole:
        return frame_of(b"%d" % event.sequence, as_json(envelope(session_id, event)))
    return frame_of(b"%d" % event.sequence, as_json(event_data(session_id, event)), event.type.encode())


def done(session_id: SessionId, head: int, reason: str) -> bytes:
    """The frame that says that nothing more will come."""
    data = as_json({"session_id": session_id, "head": head, "reason": reason})
    return frame_of(b"%d" % head, data, b"done")


def ending(state: SessionState | None, position: int, *, follow: bool) -> str | None:
    """Why a stream that has delivered everything up to `position` ends there; None while more may come."""
    if state is None or state.deleted:
        return "deleted"
    if follow or state.is_open or state.head > position:
        return None
    return "finished"
