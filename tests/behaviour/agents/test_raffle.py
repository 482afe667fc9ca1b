"""The raffle agent: which calls wait for an approval, and how it draws."""

import pytest

from examples.agents.raffle import draw_lots
from turnlog.agents.registry import AGENTS, DEFAULT_AGENT
from turnlog.agents.tools import ToolError
from turnlog.domain.values import ToolCall

pytestmark = pytest.mark.anyio


async def test_only_calls_that_can_run_wait_for_an_approval() -> None:
    def action(name: str, arguments: str, agent: str = "raffle") -> str | None:
        return AGENTS[agent].required_action(ToolCall(id="call_a", name=name, arguments=arguments))

    assert action("draw_lots", '{"names": ["Ann"]}') == "approval"
    assert action("draw_lots", '{"names": "Ann"}') is None
    assert action("ask_user", "anything") == "client_tool"
    assert action("no_such_tool", "{}") is None
    assert action("calculate", '{"expression": "1"}', DEFAULT_AGENT) is None


async def test_each_name_is_drawn_at_most_once() -> None:
    names = [f"name {number}" for number in range(50)]

    assert sorted(await draw_lots(names, 50)) == sorted(names)
    assert len(set(await draw_lots(names, 10))) == 10


@pytest.mark.parametrize(("names", "count"), [([], 0), (["Ann"], 0), (["Ann"], 2), (["Ann"] * 1001, 1)])
async def test_an_impossible_draw_is_an_error_for_the_model(names: list[str], count: int) -> None:
    with pytest.raises(ToolError):
        await draw_lots(names, count)
