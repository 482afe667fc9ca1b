"""Tools have the schema of their functions, and accept only matching arguments."""

import asyncio
import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from turnlog.agents.assistant import ASSISTANT
from turnlog.agents.registry import AGENTS, require_agent
from turnlog.agents.tools import ToolError, calculate, current_time, tool
from turnlog.domain.errors import AgentNotFoundError

pytestmark = pytest.mark.anyio


async def book(city: Annotated[str, Field(description="where")], nights: int = 1) -> dict[str, Any]:
    """Book a room."""
    return {"city": city, "nights": nights}


BOOK = tool(book)


def test_a_tools_schema_is_its_functions_name_docstring_and_parameters() -> None:
    function = BOOK.schema["function"]
    parameters = function["parameters"]

    assert BOOK.schema["type"] == "function"
    assert (function["name"], function["description"]) == ("book", "Book a room.")
    assert parameters["properties"]["city"] == {"type": "string", "title": "City", "description": "where"}
    assert parameters["properties"]["nights"]["default"] == 1
    assert (parameters["required"], parameters["additionalProperties"]) == (["city"], False)


def test_a_tool_is_idempotent_only_if_it_is_declared_so() -> None:
    assert not BOOK.idempotent
    assert tool(book, idempotent=True).idempotent


@pytest.mark.parametrize(
    ("arguments", "given"),
    [('{"city": "Rom"}', {"city": "Rom", "nights": 1}), ('{"city": "Rom", "nights": 3}', {"city": "Rom", "nights": 3})],
)
async def test_a_tool_runs_with_the_arguments_that_a_model_wrote(arguments: str, given: dict[str, Any]) -> None:
    assert await BOOK.run(arguments) == given


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "city: Field required"),
        ("{}", "city: Field required"),
        ('{"city": 5}', "city: Input should be a valid string"),
        ('{"city": "Rom", "nights": "many"}', "nights: Input should be a valid integer"),
        ('{"city": "Rom", "days": 1}', "days: Extra inputs are not permitted"),
        ("[]", "Input should be an object"),
        ('{"city": "Rom"', "Invalid JSON"),
        ("[" * 10_000, "Invalid JSON"),
    ],
)
async def test_wrong_arguments_are_an_error_for_the_model(arguments: str, problem: str) -> None:
    with pytest.raises(ToolError, match="of book are wrong") as raised:
        await BOOK.run(arguments)

    assert problem in str(raised.value)


async def test_a_tool_without_arguments_needs_none() -> None:
    async def ping() -> str:
        return "pong"

    assert await tool(ping).run("") == "pong"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(2 + 3) * 4", 20),
        (" 1 + 1\n", 2),
        ("-2 ** 2", -4),
        ("7 // 2", 3),
        ("7 % 4", 3),
        ("1 / 4", 0.25),
        ("2 ** 100", 2**100),
        ("2 ** -1", 0.5),
        ("1e3 ** 2", 1e6),
        ("--1", 1),
    ],
)
async def test_calculate_evaluates_arithmetic(expression: str, value: float) -> None:
    assert await calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "10**10**10",
        "9**9**9**9",
        "((((9**999)**999)**999)**999)",
        "2**10**9",
        "(-9)**99999999999",
        "1000**1000 * 1000**1000",
        "1e308 * 10",
        "1e400 - 1e400",
        "(-8) ** 0.5",
        "1 / 0",
        "0 ** -1",
        "5 % 0",
        "x",
        "True",
        "'a' * 1000000000",
        "[0] * 1000000000",
        "__import__('os')",
        "(1).__class__",
        "abs(1)",
        "lambda: 1",
        "1 if 1 else 2",
        "1 < 2",
        "1 and 2",
        "1 << 99999999",
        "~1",
        "2j",
        "f'{1}'",
        "1; 2",
        "1\0",
        "\ud800",
        "",
        "()",
        "1,",
        "*",
        "(" * 200,
        "(" * 99 + "1" + ")" * 100,
        "1" * 201,
        "1" + "+1" * 100,
    ],
)
async def test_calculate_refuses_other_code_and_results_that_are_no_numbers(expression: str) -> None:
    with pytest.raises(ToolError):
        await calculate(expression)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@given(st.text("0123456789+-*/%(). e", max_size=60))
async def test_calculate_returns_a_number_for_json_or_refuses(expression: str) -> None:
    async with asyncio.timeout(60):
        try:
            value = await calculate(expression)
        except ToolError:
            return

    assert json.loads(json.dumps(value, allow_nan=False)) == value


async def test_the_time_is_that_of_the_time_zone() -> None:
    assert (await current_time()).endswith("+00:00")
    assert (await current_time("Asia/Kolkata")).endswith("+05:30")


@pytest.mark.parametrize(
    "timezone", ["", "Mars", "Europe", "../../etc/passwd", "/etc/passwd", "a\0b", "x" * 5000, "\ud800"]
)
async def test_an_unknown_time_zone_is_an_error_for_the_model(timezone: str) -> None:
    with pytest.raises(ToolError, match="no time zone"):
        await current_time(timezone)


def test_agents_are_found_by_name_and_the_default_without_a_name() -> None:
    assert require_agent(None) is require_agent("") is require_agent("assistant") is ASSISTANT
    with pytest.raises(AgentNotFoundError, match="assistant"):
        require_agent("nobody")


def test_the_tools_of_an_agent_have_different_names() -> None:
    for agent in AGENTS.values():
        names = [each.name for each in agent.known_tools]
        assert len(names) == len(set(names))
        assert [agent.find_tool(name) for name in names] == list(agent.known_tools)
        assert agent.find_tool("nothing") is None
