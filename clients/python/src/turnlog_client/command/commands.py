"""What a line that is typed in `turnlog chat` does: a message, or a command that begins with a slash."""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping

from turnlog_client.aio.session import AsyncSession
from turnlog_client.command.transcript import Transcript
from turnlog_client.conversation import Action, Conversation
from turnlog_client.errors import TurnlogError
from turnlog_client.options import SendOptions
from turnlog_client.protocol.requests import new_idempotency_key
from turnlog_client.values import ActionKind

_HELP = (
    "/approve [reason]  let the tool call run that waits",
    "/deny [reason]     refuse it; the model reads the reason",
    "/result JSON       answer a tool that this client runs",
    "/cancel            stop the running turn (also Ctrl+C; once more: leave)",
    "/queue             list the messages that wait",
    "/quit              leave (also Ctrl+D); a running turn continues",
    "anything else is a message; while a turn runs, it waits for its own",
)


class Commands:
    """Handles the lines of one chat. What fails is written, and the chat continues.

    `expected` is the sequence up to which the conversation must be read before it shows what there is.
    """

    def __init__(
        self, session: AsyncSession, conversation: Conversation, transcript: Transcript, options: SendOptions
    ) -> None:
        self._session = session
        self._conversation = conversation
        self._transcript = transcript
        self._options = options
        self.expected: int | None = None
        self.has_failed = False
        self._decided = set[str]()
        self._unsent: tuple[str, str] | None = None
        self._by_name: Mapping[str, Callable[[str], Awaitable[None]]] = {
            "/approve": self._approve,
            "/deny": self._deny,
            "/result": self._submit,
            "/cancel": self._cancel,
            "/queue": self._queue,
            "/help": self._help,
        }

    @property
    def is_ready(self) -> bool:
        """Whether nothing runs, as far as was sent here, or a decision is needed."""
        return self._is_read and (self._conversation.state == "idle" or self._waiting() is not None)

    @property
    def is_running(self) -> bool:
        """Whether there is something to stop."""
        return self.expected is not None and not (self._is_read and self._conversation.state == "idle")

    @property
    def _is_read(self) -> bool:
        return self.expected is not None and self._conversation.head >= self.expected

    async def handle(self, line: str) -> None:
        """Do what the line says."""
        name, _, rest = line.partition(" ")
        try:
            if not line:
                return
            if not line.startswith("/"):
                await self._send(line)
            elif name in self._by_name:
                await self._by_name[name](rest.strip())
            else:
                self._transcript.note(f"{name} is not a command: /help lists them")
        except TurnlogError as error:
            self.has_failed = True
            self._transcript.note(f"not done: {error}")

    async def _send(self, content: str) -> None:
        """Send a message. The same text again, after a failure, is the same message: it is stored once."""
        key = self._unsent[1] if self._unsent and self._unsent[0] == content else new_idempotency_key()
        self._unsent = (content, key)
        if sys.stdin.isatty():
            self._transcript.own.add(key)
        options: SendOptions = {**self._options, "client_id": key}
        message = await self._session.send(content, idempotency_key=key, **options)
        self._unsent = None
        self.expected = max(self.expected or 0, message["sequence"])

    async def _approve(self, reason: str) -> None:
        if action := self._required("approval"):
            await self._session.approve(action.call_id, reason or None)
            self._decided.add(action.call_id)

    async def _deny(self, reason: str) -> None:
        if action := self._required("approval"):
            await self._session.deny(action.call_id, reason or None)
            self._decided.add(action.call_id)

    async def _submit(self, text: str) -> None:
        if action := self._required("client_tool"):
            try:
                result = json.loads(text)
            except ValueError:
                self._transcript.note('that is not JSON; a text is written in quotes: /result "done"')
                return
            await self._session.submit_result(action.call_id, result)
            self._decided.add(action.call_id)

    async def _cancel(self, _: str) -> None:
        if (await self._session.cancel())["status"] == "idle":
            self._transcript.note("nothing runs")

    async def _queue(self, _: str) -> None:
        waiting = await self._session.queue()
        for number, message in enumerate(waiting, 1):
            self._transcript.note(f"{number}. {message['content']}")
        if not waiting:
            self._transcript.note("nothing waits")

    async def _help(self, _: str) -> None:
        for line in _HELP:
            self._transcript.line(line)

    def _required(self, kind: ActionKind) -> Action | None:
        """Return the tool call that waits; write a note if there is none of this kind."""
        action = self._waiting(kind)
        if action is None:
            self._transcript.note("no tool call waits for that")
        return action

    def _waiting(self, kind: ActionKind | None = None) -> Action | None:
        waiting = (each for each in self._conversation.actions if kind in {None, each.kind})
        return next((each for each in waiting if each.call_id not in self._decided), None)
