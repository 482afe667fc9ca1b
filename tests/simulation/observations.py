"""What an observer outside the program sees: calls of the model and of tools, and which execution made them."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.simulation.processes import CURRENT, Process


class Execution(NamedTuple):
    """One run of an activity for one attempt. `number` distinguishes the executions of the same attempt."""

    number: int
    activity: str
    turn_id: str
    instance_id: str
    step: int
    attempt: int
    call_id: str | None


EXECUTION: ContextVar[Execution] = ContextVar("execution")
"""The activity that runs."""


@dataclass
class ModelCall:
    """A call of the model, as its server sees it.

    `pieces`: how many were sent. `is_billed`: the server began to answer. `broke_off`: it failed after it had begun.
    """

    execution: Execution
    process: Process
    began_at: float
    frozen_before: float
    ended_at: float | None = None
    frozen_while: float = 0.0
    pieces: int = 0
    is_billed: bool = False
    broke_off: bool = False

    @property
    def closed_at(self) -> float | None:
        """When the connection was closed: also the death of the process closes it."""
        ends = [each for each in (self.ended_at, self.process.died_at) if each is not None]
        return min(ends, default=None)


class ToolRun(NamedTuple):
    """A tool that ran."""

    execution: Execution
    tool: str


@dataclass
class Observations:
    """Everything that was seen in one simulation. `errors`: unexpected exceptions of activities."""

    executions: int = 0
    errors: list[str] = field(default_factory=list[str])
    model_calls: list[ModelCall] = field(default_factory=list[ModelCall])
    tool_runs: list[ToolRun] = field(default_factory=list[ToolRun])

    def execution_of(self, activity: str, work: dict[str, Any]) -> Execution:
        """Number an execution of `activity` with the input `work`."""
        self.executions += 1
        numbers = int(work.get("step", 0)), int(work.get("attempt", 1))
        ids = str(work.get("turn_id")), str(work.get("instance_id"))
        return Execution(self.executions, activity, *ids, *numbers, work.get("call_id"))

    def begin_model_call(self) -> ModelCall:
        process = CURRENT.get()
        call = ModelCall(EXECUTION.get(), process, process.loop.time(), process.frozen_seconds)
        self.model_calls.append(call)
        return call

    def end_model_call(self, call: ModelCall) -> None:
        call.ended_at = call.process.loop.time()
        call.frozen_while = call.process.frozen_seconds - call.frozen_before

    def add_tool_run(self, tool: str) -> None:
        self.tool_runs.append(ToolRun(EXECUTION.get(), tool))
