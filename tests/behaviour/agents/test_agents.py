"""The declaration of an agent applies to its turns: model, step limit, output."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from tests.behaviour.factories import (
    DurableClient,
    activity_input,
    create_session,
    load_message,
    post_message,
    scheduler,
)
from tests.domain.factories import OWNER, TRACE
from turnlog.agents.declaration import Agent
from turnlog.agents.registry import AGENTS
from turnlog.orchestrations.activities import call_model
from turnlog.services.turns.submit import NewMessage
from turnlog.wiring import Services

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("model")]


class Winner(BaseModel):
    name: str
    prize: int


class Impossible(BaseModel):
    name: Annotated[str, Field(pattern="^nobody writes this$")]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def declare(**fields: Any) -> str:
        monkeypatch.setitem(AGENTS, "own", Agent("own", "A test's.", "Answer.", **fields))
        return "own"

    return declare


async def test_messages_without_a_model_use_the_agents_model(app: Services, declare: Callable[..., str]) -> None:
    agent, session = declare(model="fake-7-0"), await create_session(app)

    assert (await post_message(app, session, agent=agent)).model == "fake-7-0"
    assert (await post_message(app, session, agent=agent, model="fake-8-0")).model == "fake-8-0"
    assert (await post_message(app, session)).model == app.settings.model


@pytest.mark.parametrize(("own", "expected"), [(3, 3), (None, 10), (40, 10)])
async def test_a_turns_step_limit_is_the_lower_of_agent_and_setting(
    app: Services, declare: Callable[..., str], own: int | None, expected: int
) -> None:
    client = DurableClient()
    new = NewMessage("Hello", TRACE, agent=declare(max_steps=own))
    await app.turns.submit(OWNER, await create_session(app), new, scheduler(app, client))

    assert client.started[0]["max_steps"] == expected


async def test_an_answer_has_the_form_that_the_agent_declares(app: Services, declare: Callable[..., str]) -> None:
    message = await post_message(app, await create_session(app), agent=declare(output_type=Winner))

    assert (await call_model(activity_input(message)))["outcome"] == "ended"

    assert Winner.model_validate_json((await load_message(app, message)).answer or "") == Winner(name="", prize=0)


async def test_an_answer_in_another_form_fails_the_turn_in_every_attempt(
    app: Services, declare: Callable[..., str]
) -> None:
    message = await post_message(app, await create_session(app), agent=declare(output_type=Impossible))

    replies = [await call_model(activity_input(message, attempt=attempt)) for attempt in (1, 2)]

    assert [(reply["outcome"], reply["failure"]["code"]) for reply in replies] == [("failed", "invalid_output")] * 2
    assert "name" in replies[0]["failure"]["message"]
