"""What a tool knows about its call: whose it is, and which attempt runs."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.behaviour.factories import activity_input, append_events, create_session, outcome_of, post_message
from tests.domain.factories import OWNER
from turnlog.agents.context import ToolContext
from turnlog.agents.declaration import Agent
from turnlog.agents.registry import AGENTS
from turnlog.agents.tools import tool
from turnlog.domain.events import MessageComplete, MessageStart
from turnlog.domain.ids import public_id
from turnlog.domain.stored_documents import Message, Step
from turnlog.domain.values import ToolCall
from turnlog.orchestrations.activities import run_tool
from turnlog.services.turns.answers import step_documents
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

CALL = "call_a"


class Register:
    """A tool that notes the contexts that it gets. Its first execution waits until it is `released`."""

    def __init__(self) -> None:
        self.contexts: list[ToolContext] = []
        self.begun = asyncio.Event()
        self.released = asyncio.Event()

    async def enter(self, context: ToolContext) -> str:
        """Enter a line."""
        self.contexts.append(context)
        self.begun.set()
        if len(self.contexts) == 1:
            await self.released.wait()
        return "entered"


Asked = Callable[[Register], Awaitable[Message]]


@pytest.fixture
def asked(app: Services, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Starts a turn whose first step calls the register."""

    async def asked(register: Register) -> Message:
        tools = (tool(register.enter, idempotent=True),)
        monkeypatch.setitem(AGENTS, "clerk", Agent("clerk", "Enters.", "Enter.", tools))
        message = await post_message(app, await create_session(app), agent="clerk")
        step = Step(text="", tool_calls=(ToolCall(id=CALL, name="enter", arguments="{}"),))
        answer = MessageComplete(step=1, attempt=1, text="")
        documents = step_documents(message, 1, step)
        await append_events(app, message.session_id, MessageStart(step=1, attempt=1), answer, documents=documents)
        return message

    return asked


async def run(message: Message, attempt: int) -> str:
    return outcome_of(await run_tool(activity_input(message, call_id=CALL, attempt=attempt)))


async def test_a_tool_knows_the_ids_of_its_call_as_the_owner_sees_them(asked: Asked) -> None:
    register = Register()
    register.released.set()
    message = await asked(register)

    assert await run(message, attempt=1) == "done"

    (context,) = register.contexts
    assert (context.owner, context.session_id) == (OWNER, public_id(message.session_id))
    assert (context.message_id, context.call_id, context.attempt) == (message.message_id, CALL, 1)
    assert (context.project_id, context.node_id) == (None, None)


async def test_the_attempt_of_a_later_execution_is_higher_while_the_earlier_one_still_runs(asked: Asked) -> None:
    register = Register()
    message = await asked(register)
    earlier = asyncio.create_task(run(message, attempt=1))
    await register.begun.wait()

    assert await run(message, attempt=2) == "done"

    assert [context.attempt for context in register.contexts] == [1, 2]
    assert {context.call_id for context in register.contexts} == {CALL}
    register.released.set()
    assert await earlier in {"done", "superseded"}


async def test_the_attempt_is_the_one_that_the_orchestrator_has_numbered(asked: Asked) -> None:
    register = Register()
    register.released.set()
    message = await asked(register)

    assert await run(message, attempt=7) == "done"

    assert [context.attempt for context in register.contexts] == [7]
