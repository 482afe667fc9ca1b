"""talk to an agent, in a session that is kept"""  # noqa: D415 - it is the text of --help

import argparse
import asyncio
import signal
import sys
from contextlib import aclosing, suppress
from typing import Any

from turnlog_client.aio.client import AsyncClient
from turnlog_client.aio.session import AsyncSession
from turnlog_client.command.commands import Commands
from turnlog_client.command.lines import has_styles, width_of
from turnlog_client.command.transcript import Transcript
from turnlog_client.command.typed_lines import TypedLines
from turnlog_client.conversation import Conversation
from turnlog_client.errors import NotFoundError
from turnlog_client.options import CreateSession, SendOptions
from turnlog_client.protocol.readers import Connection, StreamOptions

_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", metavar="ID", help="continue this session, or create it (default: a new one)")
    parser.add_argument("--agent", metavar="NAME", help="the agent that answers")
    parser.add_argument("--model", metavar="NAME", help="the model that answers")


def run(parsed: argparse.Namespace) -> int:
    return asyncio.run(_run(parsed))


async def _run(parsed: argparse.Namespace) -> int:
    async with AsyncClient(parsed.url, token=parsed.token, max_tries=1) as impatient:
        session_id = await _open(impatient, parsed.session, parsed.agent)
    async with AsyncClient(parsed.url, token=parsed.token) as client:
        options: SendOptions = {}
        if parsed.agent:
            options["agent"] = parsed.agent
        if parsed.model:
            options["model"] = parsed.model
        return await Chat(client.session(session_id), options).run()


async def _open(client: AsyncClient, session_id: str | None, agent: str | None) -> str:
    options: CreateSession = {"agent_name": agent} if agent else {}
    if session_id is not None:
        with suppress(NotFoundError):
            return (await client.session(session_id).info())["session_id"]
        options["session_id"] = session_id
    return (await client.create_session(**options)).id


class Chat:
    """One conversation in the terminal: what is typed goes out, and what happens is written."""

    def __init__(self, session: AsyncSession, options: SendOptions) -> None:
        self._session = session
        self._conversation = Conversation()
        self._is_terminal = sys.stdin.isatty()
        self._transcript = Transcript(_write, has_styles(sys.stdout), width_of(sys.stdout))
        self._commands = Commands(session, self._conversation, self._transcript, options)
        self._changed = asyncio.Condition()
        self._left = asyncio.Event()
        self._is_stopping = False
        self._is_away = False
        self._tasks = set[asyncio.Task[None]]()

    async def run(self) -> int:
        """Run until the end of the input, /quit or Ctrl+C; return the exit code."""
        self._transcript.note(f"session {self._session.id} (/help lists the commands)")
        with suppress(NotImplementedError):  # Windows: Ctrl+C ends the program
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        following = asyncio.create_task(self._follow())
        typing = asyncio.create_task(self._type())
        leaving = asyncio.create_task(self._left.wait())
        tasks: set[asyncio.Task[Any]] = {following, typing, leaving}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
            if typing.done():
                return typing.result()
            return _INTERRUPTED if leaving.done() else 0
        finally:
            for task in tasks | self._tasks:
                task.cancel()
            await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)
            self._transcript.note("")

    async def _follow(self) -> None:
        head = (await self._session.info())["head"]
        self._commands.expected = head
        options = StreamOptions(follow=True, on_connection=self._report)
        async with aclosing(self._session.events(options)) as events:
            async for event in events:
                self._conversation.apply(event)
                if event.sequence == head:
                    self._transcript.show_past(self._conversation)
                elif event.sequence > head:
                    self._transcript.show(event, self._conversation)
                if event.sequence >= head:
                    self._is_stopping = self._is_stopping and event.type != "run.complete"
                    await self._after_event(event.type, is_first=event.sequence == head)
        self._transcript.note("the session was deleted")

    async def _after_event(self, event_type: str, *, is_first: bool) -> None:
        async with self._changed:
            self._changed.notify_all()
        has_ended = is_first or event_type in {"run.complete", "tool_call.action_required"}
        if self._is_terminal and self._commands.is_ready and has_ended:
            self._transcript.prompt()

    async def _type(self) -> int:
        """Handle each line. Without a terminal, each waits until the one before has its answer."""
        lines = TypedLines(sys.stdin)
        while True:
            line = await lines.get()
            if not self._is_terminal:
                await self._wait_until_ready()
            elif line is not None:
                self._transcript.typed()
            if line is None or line.strip() == "/quit":
                return self._code()
            await self._commands.handle(line.strip())
            if self._is_terminal and self._commands.is_ready:
                self._transcript.prompt()

    async def _wait_until_ready(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._commands.is_ready)

    def _code(self) -> int:
        """Return 0; without a terminal 1 if something was refused, or the last turn has no answer."""
        turns = self._conversation.turns
        is_answered = not turns or turns[-1].status == "completed"
        return int(not self._is_terminal and (self._commands.has_failed or not is_answered))

    def _interrupt(self) -> None:
        """Ctrl+C: stop the running turn; leave if none runs, or if it was pressed before."""
        if self._is_stopping or not self._commands.is_running:
            self._left.set()
            return
        self._is_stopping = True
        task = asyncio.create_task(self._commands.handle("/cancel"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _report(self, connection: Connection) -> None:
        if connection.state == "waiting" and connection.error and not self._is_away:
            self._is_away = True
            self._transcript.note("the server is away: trying again … (the turn continues with it)")
        elif connection.state == "live" and self._is_away:
            self._is_away = False
            self._transcript.note(f"resumed after event {connection.cursor.partition('-')[0]}")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
