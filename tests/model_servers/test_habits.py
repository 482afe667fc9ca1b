"""Whatever habits a model's server has, a turn ends as its users expect, and the session's next turn works."""

import asyncio
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.model_servers.conftest import open_app, open_store
from tests.model_servers.habit import Habit, problems
from tests.model_servers.habits import HABITS, model_lists
from tests.model_servers.server import ModelServer, model_server
from tests.model_servers.turns import ask
from turnlog.domain.errors import ModelError
from turnlog.models.openai import Endpoint, OpenAIModelClient
from turnlog.wiring import Services

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]  # all habits run in one fixture

_AT_ONCE = 16
"""Many habits make a turn wait, so several turns run at the same time."""


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    answers = {name: habit.answer for name, habit in HABITS.items()}
    # Their requests are counted apart from those of the habit's own turn.
    answers |= {habit.next_name: HABITS[habit.next_model].answer for habit in HABITS.values()}
    with model_server(answers, {**model_lists.READY, **model_lists.NOT_READY}) as server:
        yield server


@pytest.fixture(scope="module")
def found(
    request: pytest.FixtureRequest,
    server: ModelServer,
    endpoint: str | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, list[str]]:
    """In what the turns of each selected habit differ from what was expected."""
    selected: list[Any] = [getattr(item, "callspec", None) for item in request.session.items]
    habits = [each.params["habit"] for each in selected if each is not None and "habit" in each.params]
    return asyncio.run(_ask_all(habits, server, endpoint, tmp_path_factory.mktemp("habits")))


async def _ask_all(
    habits: Sequence[Habit], server: ModelServer, endpoint: str | None, folder: Path
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    free = asyncio.Semaphore(_AT_ONCE)

    async def check(app: Services, habit: Habit) -> None:
        async with free:
            try:
                observed = await ask(app, server, habit)
            except Exception as error:  # noqa: BLE001  # it fails the test of this habit, not all
                found[habit.name] = [repr(error)]
                return
        demanded = habit.find_problem(server.requests(habit.name))
        found[habit.name] = [*problems(habit.expects, observed), *([] if demanded is None else [demanded])]

    async with open_store(endpoint, folder) as store:
        for api in ("chat", "responses"):
            async with open_app(server, {**store, "MODEL_API": api}) as app, asyncio.TaskGroup() as group:
                for habit in habits:
                    if habit.api == api:
                        group.create_task(check(app, habit))
    return found


@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)
def test_a_turn_ends_as_users_of_the_server_expect(found: dict[str, list[str]], habit: Habit) -> None:
    assert not found[habit.name], "\n".join(found[habit.name])


async def _check(server: ModelServer, model_list: str) -> None:
    client = OpenAIModelClient(Endpoint(f"{server.origin}/{model_list}/v1", "a-key"))
    try:
        await client.check()
    finally:
        await client.close()


@pytest.mark.parametrize("model_list", model_lists.READY)
async def test_a_server_is_ready_whatever_its_list_of_models_looks_like(server: ModelServer, model_list: str) -> None:
    await _check(server, model_list)


@pytest.mark.parametrize("model_list", model_lists.NOT_READY)
async def test_a_server_is_not_ready_if_it_refuses_or_fails(server: ModelServer, model_list: str) -> None:
    with pytest.raises(ModelError):
        await _check(server, model_list)


async def test_a_server_that_is_not_there_is_not_ready(server: ModelServer) -> None:
    client = OpenAIModelClient(Endpoint("http://127.0.0.1:1/v1", "a-key"))

    with pytest.raises(ModelError) as refusal:
        await client.check()

    assert refusal.value.failure_code == "model_unreachable"
    await client.close()
