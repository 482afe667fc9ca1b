"""Tools: Python functions that a model may call, tools that the client runs, and two tools for every agent."""

import ast
import asyncio
import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any, overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, ValidationError

from turnlog.agents.context import ToolContext
from turnlog.agents.signatures import read_signature

_MAX_EXPRESSION_LENGTH = 200
_MAX_EXPONENT = 1000
_MAX_VALUE = 10**1000

_THREADS = CapacityLimiter(40)  # of plain functions; of their own, so that a slow tool holds up nothing else

MAX_TOOL_FAILURES = 2
"""How often a tool with a `failure_code` may fail in a turn. The model gets each failure and may try again."""


class ToolError(Exception):
    """The tool refuses its call or fails. The model gets the text."""


@dataclass(frozen=True)
class Tool:
    """A function with its schema.

    `idempotent`: it may run again after a crash. `requires_approval`: each call waits for an approval.
    `failure_code`: the turn fails with this code if the tool fails in more than MAX_TOOL_FAILURES of its steps. If a
    step calls such a tool several times, only the first call runs, so that the outcome does not depend on a race.
    `problems`: why a model can't call it. An app with such a tool does not start.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    function: Callable[..., Any]
    idempotent: bool
    requires_approval: bool = False
    failure_code: str | None = None
    takes_context: bool = False
    problems: tuple[str, ...] = ()

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        return self.arguments.model_json_schema()

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The tool in Chat Completions form."""
        return _schema(self.name, self.description, self.parameters)

    def argument_problem(self, arguments: str) -> str | None:
        """What is wrong with `arguments`, the JSON text that a model wrote. None if they are valid."""
        try:
            self.arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            return f"The arguments of {self.name} are wrong: {problems}"
        return None

    async def run(self, arguments: str, context: ToolContext | None = None) -> Any:
        """Call the function with `arguments`, the JSON text that a model wrote, and `context` if it takes one.

        A plain function runs in a thread. Nothing stops a thread: after a cancel or a timeout it runs on, and its
        result is dropped.

        Raises:
            ToolError: the arguments are wrong, or the function raised it.
        """
        if (problem := self.argument_problem(arguments)) is not None:
            raise ToolError(problem)
        values = self.arguments.model_validate_json(arguments or "{}")
        named = {name: getattr(values, name) for name in self.arguments.model_fields}
        call = partial(self.function, *([context] if self.takes_context else []), **named)
        if inspect.iscoroutinefunction(self.function):
            return await call()
        result = await to_thread.run_sync(call, abandon_on_cancel=True, limiter=_THREADS)
        return await result if inspect.isawaitable(result) else result


@dataclass(frozen=True)
class ClientTool:
    """A tool that the client runs: the turn waits for its result. `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]

    @property
    def schema(self) -> dict[str, Any]:
        """The tool in Chat Completions form."""
        return _schema(self.name, self.description, self.parameters)


def _schema(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


@overload
def tool(
    function: Callable[..., Any],
    *,
    idempotent: bool = False,
    requires_approval: bool = False,
    failure_code: str | None = None,
) -> Tool: ...
@overload
def tool(
    *, idempotent: bool = False, requires_approval: bool = False, failure_code: str | None = None
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    idempotent: bool = False,
    requires_approval: bool = False,
    failure_code: str | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Create a tool from a function, sync or async: `tool(function)`, `@tool`, or `@tool(requires_approval=True)`.

    A model sees its name, its docstring and its annotated parameters, but not a first parameter that is annotated
    `ToolContext`. What is wrong with them is in the tool's `problems`.

    Raises:
        TypeError: it is not a function.
    """

    def declare(function: Callable[..., Any]) -> Tool:
        if not inspect.isroutine(function):
            raise TypeError(f"a tool is a function, not {function!r}")
        signature = read_signature(function, function.__name__)
        return Tool(
            name=function.__name__,
            description=signature.description,
            arguments=signature.arguments,
            function=function,
            idempotent=idempotent,
            requires_approval=requires_approval,
            failure_code=failure_code,
            takes_context=signature.takes_context,
            problems=signature.problems,
        )

    return declare if function is None else declare(function)


async def current_time(timezone: str = "UTC") -> str:
    """Get the date and time in a time zone, given by its IANA name, for example Europe/Berlin."""
    try:
        zone = await asyncio.to_thread(ZoneInfo, timezone)  # this reads a file
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: "Europe" is a folder
        raise ToolError(f"There is no time zone {timezone!r}; use an IANA name, for example Europe/Berlin.") from error
    return datetime.now(zone).isoformat(timespec="seconds")


async def calculate(expression: str) -> float:
    """Calculate an arithmetic expression with + - * / // % ** and parentheses, for example (2 + 3) * 4."""
    if len(expression) > _MAX_EXPRESSION_LENGTH:
        raise ToolError(f"The expression is longer than {_MAX_EXPRESSION_LENGTH} characters.")
    try:
        return _require_json_number(_evaluate(ast.parse(expression.strip(), mode="eval").body))
    except (SyntaxError, ValueError, ArithmeticError, TypeError, RecursionError) as error:
        raise ToolError(f"Can't calculate {expression!r}: {error}") from error


_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def _require_json_number(value: Any) -> float:
    """`value`, if JSON can hold it. A root of a negative number is complex, and an overflow may be infinite."""
    if isinstance(value, complex) or not abs(value) <= _MAX_VALUE:
        raise ValueError("the result is not a real number, or too large")
    return value


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            base, exponent = _evaluate(left), _evaluate(right)
            # A power of integers can need all memory. A float overflows instead.
            if isinstance(op, ast.Pow) and (abs(exponent) > _MAX_EXPONENT or abs(base) > _MAX_EXPONENT):
                return float(base) ** float(exponent)
            return _OPERATORS[type(op)](base, exponent)
        case _:
            raise ValueError("only numbers and + - * / // % ** ( ) are allowed")
