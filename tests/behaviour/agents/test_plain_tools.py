"""Plain functions are tools: they run in a thread, and what a model can't call is named."""

import argparse
import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from turnlog import Agent, Tool, ToolContext, ToolError, tool

pytestmark = pytest.mark.anyio


def look_up(name: str, limit: int = 3) -> list[str]:
    """Look up a name."""
    return [name] * limit


def run_where() -> int:
    """The thread that this runs in."""
    return threading.get_ident()


def test_an_agent_takes_functions_as_they_are() -> None:
    agent = Agent("clerk", "Looks up.", "Look up.", tools=[look_up])

    (found,) = agent.known_tools
    assert isinstance(found, Tool)
    assert (found.name, found.description, found.problems) == ("look_up", "Look up a name.", ())
    assert found.parameters["required"] == ["name"]


def test_a_function_is_declared_by_a_decorator_with_or_without_options() -> None:
    @tool
    def read() -> None:
        """Read."""

    @tool(requires_approval=True, idempotent=True)
    async def write() -> None:
        """Write."""

    assert (read.name, read.requires_approval, read.idempotent) == ("read", False, False)
    assert (write.name, write.requires_approval, write.idempotent) == ("write", True, True)


async def test_a_plain_function_runs_in_a_thread_of_its_own() -> None:
    assert await tool(look_up).run('{"name": "Ada", "limit": 2}') == ["Ada", "Ada"]
    assert await tool(run_where).run("") != threading.get_ident()


async def test_a_plain_functions_refusal_reaches_the_model() -> None:
    def refuse() -> None:
        """Refuse."""
        raise ToolError("Not today.")

    with pytest.raises(ToolError, match="Not today"):
        await tool(refuse).run("")


async def test_a_cancel_does_not_wait_for_a_thread() -> None:
    began, may_end = threading.Event(), threading.Event()

    def hang() -> None:
        """Hang."""
        began.set()
        may_end.wait()

    running = asyncio.create_task(tool(hang).run(""))
    try:
        await asyncio.to_thread(began.wait)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not may_end.is_set()
    finally:
        may_end.set()


async def test_a_plain_function_that_returns_a_coroutine_is_awaited() -> None:
    async def answer() -> str:
        return "done"

    def wrapper() -> Any:
        """Wrap."""
        return answer()

    assert await tool(wrapper).run("") == "done"


def test_annotations_may_be_texts() -> None:
    def enter(context: "ToolContext", names: "list[str]") -> None:
        """Enter names."""

    assert tool(enter).takes_context
    assert tool(enter).problems == ()
    assert tool(enter).parameters["properties"]["names"]["type"] == "array"


def _no_docstring(name: str) -> None: ...


def _no_annotation(name) -> None:  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
    """Take a name."""


def _unknown(name: "Nmae") -> None:  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType] # noqa: F821
    """Take a name."""


def _not_json(lock: threading.Event) -> None:
    """Take a lock."""


def _many(*names: str) -> None:
    """Take names."""


def _late_context(name: str, context: ToolContext) -> None:
    """Take a context."""


_CALLS: list[tuple[Callable[..., Any], str]] = [
    (_no_docstring, "it has no docstring"),
    (_no_annotation, "parameter name has no annotation"),
    (_unknown, "parameter name has the unknown annotation Nmae"),
    (_not_json, "parameter lock has the annotation threading.Event, which JSON can't describe"),
    (_many, "parameter names can't be given by its name"),
    (_late_context, "parameter context is the ToolContext, which must be the first one"),
]


@pytest.mark.parametrize(("function", "problem"), _CALLS)
def test_what_a_model_cannot_call_is_named(function: Callable[..., Any], problem: str) -> None:
    (found,) = tool(function).problems

    assert found.startswith(problem)


def test_all_problems_of_a_function_are_found_at_once() -> None:
    def both(first, second: "Nmae") -> None: ...  # pyright: ignore # noqa: F821, PGH003

    assert len(tool(both).problems) == 3  # pyright: ignore[reportUnknownArgumentType]


def test_what_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="a tool is a function, not 5"):
        Agent("clerk", "Looks up.", "Look up.", tools=[5])  # pyright: ignore[reportArgumentType]


async def test_a_tool_that_would_end_the_process_fails_its_call_only() -> None:
    def search(options: str) -> str:
        """Search."""
        return str(argparse.ArgumentParser().parse_args(options.split()))

    async def leave() -> None:
        """Leave."""
        sys.exit(3)

    with pytest.raises(ToolError, match="search exited with 2"):
        await tool(search).run('{"options": "--unknown"}')
    with pytest.raises(ToolError, match="leave exited with 3"):
        await tool(leave).run("{}")


@pytest.mark.parametrize("name", ["model_extra", "model_fields_set", "model_dump", "model_config", "_hidden"])
def test_a_parameter_that_a_model_cannot_fill_by_its_name_is_named(name: str) -> None:
    names: dict[str, Any] = {}
    exec(f'def read({name}: str) -> str:\n    """Read."""', names)

    (problem,) = tool(names["read"]).problems
    assert problem == f"parameter {name} needs another name: this one is not allowed"


async def test_other_parameters_may_begin_with_model() -> None:
    def price(model_name: str) -> str:
        """Price."""
        return model_name

    assert await tool(price).run('{"model_name": "small"}') == "small"
