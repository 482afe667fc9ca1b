"""One session of the async client, as `turnlog_client.session`."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Unpack

from turnlog_client.aio.transport import AsyncTransport
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


class AsyncSession:
    """A handle of a session. It makes no request by itself, so it exists before the session does."""

    def __init__(self, session_id: str, transport: AsyncTransport) -> None:
        self.id = session_id
        self._transport = transport
        self._requests = SessionRequests(session_id)

    async def info(self) -> SessionInfo:
        """Read the session."""
        return await self._transport.send(self._requests.info())

    async def update(self, **changes: Unpack[UpdateSession]) -> SessionInfo:
        """Change the session; None removes a value."""
        return await self._transport.send(self._requests.update(changes))

    async def delete(self) -> None:
        """End a running turn, and delete the session."""
        await self._transport.send(self._requests.delete())

    async def fork(self, *, idempotency_key: str | None = None, **options: Unpack[ForkSession]) -> "AsyncSession":
        """Create a session with the same past: the log to its last finished turn, or up to `at_sequence`."""
        info = await self._transport.send(self._requests.fork(options, idempotency_key))
        return AsyncSession(info["session_id"], self._transport)

    async def usage(self) -> UsageReport:
        """Read what the session has used."""
        return await self._transport.send(self._requests.usage())

    async def send(
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
        return await self._transport.send(self._requests.send(content, options, wait, idempotency_key))

    async def stream(
        self, content: Content, *, idempotency_key: str | None = None, **options: Unpack[SendOptions]
    ) -> AsyncGenerator[Event]:
        """Send a message when the iteration begins, and yield the events of its turn.

        With `on_busy="steer"` these are the events of the turn that the message goes into.
        """
        message = await self.send(content, idempotency_key=idempotency_key, **options)
        turn = TurnEvents(message["message_id"], message["turn_id"])
        async for event in self.events(StreamOptions(after=message["sequence"] - 1)):
            if turn.has(event):
                yield event
            if turn.is_over:
                return

    def events(self, options: StreamOptions | None = None) -> AsyncGenerator[Event]:
        """Yield each event of the log once, in order, over any number of connections.

        It ends when nothing more will come. `StreamOptions(after=event.cursor)` continues after an event.

        Raises:
            ProblemError: the service refuses for ever, for example `session_not_found` or `cursor_gone`.
        """
        return self._transport.read(EventReader(self._requests.path, options or StreamOptions()))

    async def watch(self, options: StreamOptions | None = None) -> AsyncGenerator[Conversation]:
        """Yield the conversation as it is now, and again after each event. It is one object, which changes.

        The past is folded first, so what it shows as waiting does wait. `after` and `types` are not for it.
        """
        head = (await self.info())["head"]
        conversation = Conversation()
        async for event in self.events(options):
            conversation.apply(event)
            if event.sequence >= head:
                yield conversation

    async def messages(self, **options: Unpack[ListMessages]) -> list[Message]:
        """List messages with their answers, oldest first: at most 50, or `limit`."""
        return await self._transport.send(self._requests.messages(options))

    async def history(self, **options: Unpack[ListEvents]) -> EventPage:
        """Read a page of the log from either end, without following it."""
        return await self._transport.send(self._requests.history(options))

    async def append_events(
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
        return await self._transport.send(self._requests.append(events, producer, idempotency_key))

    async def export(self) -> AsyncGenerator[str]:
        """Yield the lines of an export: a header, then each event as JSON.

        Raises:
            NetworkError: the export was cut off.
        """
        export = Export()
        async with self._transport.open(self._requests.export(), 60) as response:
            async for line in response.aiter_lines():
                yield export.read(line)
        export.check()

    async def cancel(self, *, wait: float | None = None, **options: Unpack[CancelOptions]) -> CancelReceipt:
        """Ask the running turn to stop; what was written stays. With `wait` (seconds), return after its end."""
        return await self._transport.send(self._requests.cancel(options, wait))

    async def queue(self) -> list[Message]:
        """List the messages that wait for their turn, in the order in which they will run."""
        return await self._transport.send(self._requests.queue())

    async def withdraw(self, message_id: str) -> None:
        """Take a waiting message back."""
        await self._transport.send(self._requests.withdraw(message_id))

    async def tool_call(self, call_id: str) -> ToolCallResult:
        """Read a tool call that has ended with its whole response, also one that is too large for an event."""
        return await self._transport.send(self._requests.tool_call(call_id))

    async def approve(self, call_id: str, reason: str | None = None) -> DecisionReceipt:
        """Let a tool call run that waits for an approval. The same decision again changes nothing."""
        return await self._transport.send(self._requests.decide(call_id, "approve", reason))

    async def deny(self, call_id: str, reason: str | None = None) -> DecisionReceipt:
        """Refuse a tool call that waits for an approval; the model reads the reason."""
        return await self._transport.send(self._requests.decide(call_id, "deny", reason))

    async def submit_result(self, call_id: str, result: Any) -> DecisionReceipt:
        """Send the result of a tool that the client runs: any JSON value."""
        return await self._transport.send(self._requests.submit(call_id, {"result": result}))

    async def submit_error(self, call_id: str, error: str) -> DecisionReceipt:
        """Say why a tool that the client runs has no result; the model reads it."""
        return await self._transport.send(self._requests.submit(call_id, {"error": error}))
