"""One session: send messages, read its events, and decide about what waits."""

from collections.abc import Generator, Sequence
from typing import Any, Unpack

from turnlog_client.conversation import Conversation
from turnlog_client.events import Event
from turnlog_client.options import (
    CancelOptions,
    Content,
    ForkSession,
    ListEvents,
    ListMessages,
    OutsideEvent,
    Producer,
    SendOptions,
    UpdateSession,
)
from turnlog_client.protocol.exports import Export
from turnlog_client.protocol.readers import EventReader, StreamOptions, TurnEvents
from turnlog_client.protocol.session_requests import SessionRequests
from turnlog_client.transport import Transport
from turnlog_client.values import (
    AppendReceipt,
    CancelReceipt,
    DecisionReceipt,
    EventPage,
    Message,
    SessionInfo,
    ToolCallResult,
    UsageReport,
)


class Session:
    """A handle of a session. It makes no request by itself, so it exists before the session does."""

    def __init__(self, session_id: str, transport: Transport) -> None:
        self.id = session_id
        self._transport = transport
        self._requests = SessionRequests(session_id)

    def info(self) -> SessionInfo:
        """Read the session."""
        return self._transport.send(self._requests.info())

    def update(self, **changes: Unpack[UpdateSession]) -> SessionInfo:
        """Change the session; None removes a value."""
        return self._transport.send(self._requests.update(changes))

    def delete(self) -> None:
        """End a running turn, and delete the session."""
        self._transport.send(self._requests.delete())

    def fork(self, *, idempotency_key: str | None = None, **options: Unpack[ForkSession]) -> "Session":
        """Create a session with the same past: the log to its last finished turn, or up to `at_sequence`."""
        info = self._transport.send(self._requests.fork(options, idempotency_key))
        return Session(info["session_id"], self._transport)

    def usage(self) -> UsageReport:
        """Read what the session has used."""
        return self._transport.send(self._requests.usage())

    def send(
        self,
        content: Content,
        *,
        wait: float | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[SendOptions],
    ) -> Message:
        """Send a message. Return as soon as it is stored, or with `wait` (seconds, at most 200) when it is answered.

        A message whose `status` is not final after the wait continues: `events` shows its turn. To repeat a call that
        raised a NetworkError, give both the same `idempotency_key`: the message is stored once.
        """
        return self._transport.send(self._requests.send(content, options, wait, idempotency_key))

    def stream(
        self, content: Content, *, idempotency_key: str | None = None, **options: Unpack[SendOptions]
    ) -> Generator[Event]:
        """Send a message when the iteration begins, and yield the events of its turn.

        With `on_busy="steer"` these are the events of the turn that the message goes into.
        """
        message = self.send(content, idempotency_key=idempotency_key, **options)
        turn = TurnEvents(message["message_id"], message["turn_id"])
        for event in self.events(StreamOptions(after=message["sequence"] - 1)):
            if turn.has(event):
                yield event
            if turn.is_over:
                return

    def events(self, options: StreamOptions | None = None) -> Generator[Event]:
        """Yield each event of the log once, in order, over any number of connections.

        It ends when nothing more will come. `StreamOptions(after=event.cursor)` continues after an event.

        Raises:
            ProblemError: the service refuses for ever, for example `session_not_found` or `cursor_gone`.
        """
        return self._transport.read(EventReader(self._requests.path, options or StreamOptions()))

    def watch(self, options: StreamOptions | None = None) -> Generator[Conversation]:
        """Yield the conversation as it is now, and again after each event. It is one object, which changes.

        The past is folded first, so what it shows as waiting does wait. `after` and `types` are not for it.
        """
        head = self.info()["head"]
        conversation = Conversation()
        for event in self.events(options):
            conversation.apply(event)
            if event.sequence >= head:
                yield conversation

    def messages(self, **options: Unpack[ListMessages]) -> list[Message]:
        """List messages with their answers, oldest first: at most 50, or `limit`."""
        return self._transport.send(self._requests.messages(options))

    def history(self, **options: Unpack[ListEvents]) -> EventPage:
        """Read a page of the log from either end, without following it."""
        return self._transport.send(self._requests.history(options))

    def append_events(
        self,
        events: Sequence[OutsideEvent],
        *,
        producer: Producer | None = None,
        idempotency_key: str | None = None,
    ) -> AppendReceipt:
        """Append events of another producer, at most 100: all of them or none.

        A repeat with the same `idempotency_key`, or with the same numbers of the `producer`, appends nothing. A key is
        kept for 24 hours, the numbers for ever.
        """
        return self._transport.send(self._requests.append(events, producer, idempotency_key))

    def export(self) -> Generator[str]:
        """Yield the lines of an export: a header, then each event as JSON.

        Raises:
            NetworkError: the export was cut off.
        """
        export = Export()
        with self._transport.open(self._requests.export(), 60) as response:
            for line in response.iter_lines():
                yield export.read(line)
        export.check()

    def cancel(self, *, wait: float | None = None, **options: Unpack[CancelOptions]) -> CancelReceipt:
        """Ask the running turn to stop; what was written stays. With `wait` (seconds), return after its end."""
        return self._transport.send(self._requests.cancel(options, wait))

    def queue(self) -> list[Message]:
        """List the messages that wait for their turn, in the order in which they will run."""
        return self._transport.send(self._requests.queue())

    def withdraw(self, message_id: str) -> None:
        """Take a waiting message back."""
        self._transport.send(self._requests.withdraw(message_id))

    def tool_call(self, call_id: str) -> ToolCallResult:
        """Read a tool call that has ended with its whole response, also one that is too large for an event."""
        return self._transport.send(self._requests.tool_call(call_id))

    def approve(self, call_id: str, reason: str | None = None) -> DecisionReceipt:
        """Let a tool call run that waits for an approval. The same decision again changes nothing."""
        return self._transport.send(self._requests.decide(call_id, "approve", reason))

    def deny(self, call_id: str, reason: str | None = None) -> DecisionReceipt:
        """Refuse a tool call that waits for an approval; the model reads the reason."""
        return self._transport.send(self._requests.decide(call_id, "deny", reason))

    def submit_result(self, call_id: str, result: Any) -> DecisionReceipt:
        """Send the result of a tool that the client runs: any JSON value."""
        return self._transport.send(self._requests.submit(call_id, {"result": result}))

    def submit_error(self, call_id: str, error: str) -> DecisionReceipt:
        """Say why a tool that the client runs has no result; the model reads it."""
        return self._transport.send(self._requests.submit(call_id, {"error": error}))
