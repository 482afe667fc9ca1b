"""Streams that resume where they stopped, over any number of connections. Times are in seconds."""

import json
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from turnlog_client.errors import NetworkError, TurnlogError
from turnlog_client.events import Event, RoomFrame, event_of
from turnlog_client.protocol.backoff import Backoff
from turnlog_client.protocol.requests import Request
from turnlog_client.protocol.sse import Frame, Retry, SseParser
from turnlog_client.protocol.tries import retry_after_of

Item = TypeVar("Item")
Reason = Literal["finished", "deleted"]


@dataclass(frozen=True)
class Connection:
    """A change of a stream's connection. `cursor` continues after what was read.

    `live`: `is_resumed` unless it is the first. `waiting`: for `seconds`, after `error` or, if that is None, a planned
    end. `ended`: nothing more will come, for `reason`.
    """

    state: Literal["connecting", "live", "waiting", "ended"]
    cursor: str
    is_resumed: bool = False
    seconds: float = 0
    error: TurnlogError | None = None
    reason: Reason | None = None


@dataclass(frozen=True)
class StreamOptions:
    """How to read a stream. `after`: an event's cursor, or its sequence; None is the beginning (of a room: now).

    `follow` continues with later turns, without an end. `types` are names or patterns (`tool_call.*`). A connection
    that sends nothing for `max_silence` seconds is given up; the service sends something every 15 seconds.
    `on_connection` is called at each change of the connection.
    """

    after: int | str | None = None
    follow: bool = False
    types: Sequence[str] = ()
    max_silence: float = 45
    backoff: Backoff = field(default_factory=Backoff)
    on_connection: Callable[[Connection], None] | None = None


class StreamReader(ABC, Generic[Item]):
    """The progress of one reader: it says what to request, takes what comes, and says how long to wait.

    Each connection is `request`, `open`, any number of `read`, and `close`; `fail` in place of what broke.
    """

    def __init__(self, path: str, options: StreamOptions) -> None:
        self.is_over = False
        self.cursor = "" if options.after is None else str(options.after)
        self.max_silence = options.max_silence
        self._path = path
        self._options = options
        self._backoff = Backoff(options.backoff.min, options.backoff.max)
        self._pause = 0.5
        self._has_read = bool(self.cursor) and self.cursor != "0"
        self._is_service = False
        self._parser = SseParser()

    def request(self) -> Request[None]:
        """Return the request of the next connection."""
        self._report("connecting")
        headers = {"accept": "text/event-stream"} | ({"last-event-id": self.cursor} if self.cursor else {})
        return Request("GET", self._path, self._query(), headers)

    def open(self, status: int, content_type: str) -> None:
        """Begin to read an answer.

        Raises:
            NetworkError: something else answered, for example a proxy.
        """
        if status == 204:
            self._end("finished")
            return
        if not content_type.startswith("text/event-stream"):
            raise NetworkError(f"the server sent {content_type or 'nothing'} in place of a stream")
        self._report("live", is_resumed=self._has_read)
        self._is_service = False  # a proxy may answer and close, without a word of the service
        self._parser = SseParser(self.cursor)

    def read(self, data: bytes) -> Iterator[Item]:
        """Yield what `data` completes; nothing after the end."""
        for frame in self._parser.push(data):
            self._is_service = True
            if isinstance(frame, Retry):
                self._pause = frame.seconds
                continue
            item = self._item(frame, json.loads(frame.data))
            if item is not None:
                self._has_read = True
                self._backoff.reset()
                yield item
            if self.is_over:
                return

    def close(self) -> float:
        """Return the wait before the next connection, after the service ended this one.

        Raises:
            NetworkError: it ended without anything that the service sends before a planned end.
        """
        if not self._is_service:
            raise NetworkError("the connection ended without an event")
        self._backoff.reset()
        seconds = self._pause * (1 + random.random() / 2)  # noqa: S311 - it spreads readers, no more
        self._report("waiting", seconds=seconds)
        return seconds

    def fail(self, error: TurnlogError) -> float:
        """Return the wait before the next connection, after this one broke or was refused.

        Raises:
            TurnlogError: `error`, if it is final.
        """
        if not error.is_transient:
            raise error
        seconds = self._backoff.next(retry_after_of(error))
        self._report("waiting", seconds=seconds, error=error)
        return seconds

    @abstractmethod
    def _query(self) -> dict[str, object]: ...

    @abstractmethod
    def _item(self, frame: Frame, data: Mapping[str, Any]) -> Item | None:
        """Return what the frame brings, and move the cursor behind it; None if it brings nothing new."""

    def _end(self, reason: Reason) -> None:
        self.is_over = True
        self._report("ended", reason=reason)

    def _report(self, state: Literal["connecting", "live", "waiting", "ended"], **more: Any) -> None:
        if self._options.on_connection:
            self._options.on_connection(Connection(state, self.cursor, **more))


class EventReader(StreamReader[Event]):
    """Reads a session's log: each event once, in order, until the service says `done`."""

    def __init__(self, session_path: str, options: StreamOptions) -> None:
        super().__init__(f"{session_path}/stream", options)
        self.cursor = self.cursor or "0"
        digits = self.cursor.partition("-")[0]
        self._sequence = int(digits) if digits.isdecimal() else 0

    def _query(self) -> dict[str, object]:
        return {"format": "envelope", "follow": self._options.follow or None, "types": list(self._options.types)}

    def _item(self, frame: Frame, data: Mapping[str, Any]) -> Event | None:
        self.cursor = frame.id or self.cursor
        if frame.event == "done":
            self._end(data.get("reason", "finished"))
            return None
        if "sequence" not in data or data["sequence"] <= self._sequence:
            return None  # nothing is yielded twice
        self._sequence = int(data["sequence"])
        return event_of(data, self.cursor)


class RoomReader(StreamReader[RoomFrame]):
    """Reads a room: the frames of many sessions, without an end. Repeats of the last thousand frames are left out."""

    def __init__(self, path: str, options: StreamOptions) -> None:
        super().__init__(path, options)
        self._ids = deque[str](maxlen=1000)

    def _query(self) -> dict[str, object]:
        return {}

    def _item(self, frame: Frame, data: Mapping[str, Any]) -> RoomFrame | None:
        if frame.id and frame.id in self._ids:
            return None
        self._ids.append(frame.id)
        self.cursor = frame.id or str(data.get("cursor") or self.cursor)
        kind = frame.event
        if kind == "message":  # the room of all sessions has the type in its data
            kind = str(data.get("type", ""))
        if kind == "event":
            data = data["data"]
            kind = str(data["type"])
        return RoomFrame(kind, data, self.cursor)


@dataclass
class TurnEvents:
    """Which of a session's events are those of one message: from its first one to the end of its turn."""

    message_id: str
    turn_id: str
    is_over: bool = False

    def has(self, event: Event) -> bool:
        """Whether the event is one of them; the last one sets `is_over`."""
        is_of_message = event.message_id == self.message_id
        if is_of_message and event.type == "user_message" and event.turn_id:
            self.turn_id = event.turn_id  # a message that no step of the running turn read gets its own turn
        is_of_turn = event.turn_id == self.turn_id
        self.is_over = (is_of_turn and event.type == "run.complete" and event.is_known) or (
            is_of_message and event.type == "message.withdrawn"
        )
        return is_of_message or is_of_turn
