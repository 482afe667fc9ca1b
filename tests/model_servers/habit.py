"""What a habit is, and what a user of such a server expects of a whole turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tests.model_servers.objects import TEXT
from tests.model_servers.server import Answer, Json, Request
from turnlog.domain.values import Usage

PLAIN = "plain"
"""The habit that answers as OpenAI does."""

MAX_CALLS = 4
"""How often the model is called for a step."""

_NOTHING = Usage().model_dump()

Api: TypeAlias = Literal["chat", "responses"]


@dataclass(frozen=True)
class Expected:
    """How a turn ends. What is None is not compared.

    Attributes:
        code: of the turn's error.
        says: a part of the error's message.
        hides: what the error's message must not show.
        max_calls: how often the model may be called.
        results: what the tools returned.
    """

    status: Literal["completed", "failed"] = "completed"
    answer: str | None = TEXT
    code: str | None = None
    says: str = ""
    hides: str | None = None
    max_calls: int = 1
    finish_reason: str | None = None
    usage: Json | None = None
    reasoning: str | None = None
    results: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Observed:
    """How a turn ended. `message` is that of its error; `next_turn` says how the session's next turn ended."""

    status: str
    answer: str
    code: str | None
    message: str
    calls: int
    finish_reason: str | None
    usage: Json
    reasoning: str
    results: tuple[str, ...]
    next_turn: str


@dataclass(frozen=True)
class Habit:
    """A habit of a model server.

    Attributes:
        by: whose server does it.
        does: what it does, in one sentence.
        next_model: the habit that answers the session's next turn, which has to complete.
        demand: returns what is wrong with the requests of the turn; None if nothing is.
    """

    name: str
    by: str
    does: str
    answer: Answer
    expects: Expected = Expected()
    content: Any = "hi"
    next_model: str = PLAIN
    api: Api = "chat"
    find_problem: Callable[[Sequence[Request]], str | None] = lambda _: None

    @property
    def next_name(self) -> str:
        """The name under which the server is asked in the session's next turn."""
        return self.name if self.next_model == self.name else f"{self.next_model}, next"


def failed(
    code: str, says: str = "", *, max_calls: int = MAX_CALLS, answer: str | None = None, **more: Any
) -> Expected:
    """Return what is expected of a turn that the server does not let succeed."""
    return Expected("failed", answer, code, says, max_calls=max_calls, **more)


def refused_at_once(code: str, says: str = "", **more: Any) -> Expected:
    """Return what is expected where calling again is of no use."""
    return failed(code, says, max_calls=1, **more)


def with_results(*results: str, max_calls: int = 2, usage: Json | None = None) -> Expected:
    """Return what is expected of a turn that calls tools, which return `results`, and then repeats these."""
    answer = "The tools said: " + " | ".join(results)
    return Expected(answer=answer, max_calls=max_calls, usage=usage, results=results)


def problems(expected: Expected, observed: Observed) -> list[str]:
    """Return in what a turn differs from what was expected; nothing if it ended well."""
    compared = ("status", "answer", "code", "finish_reason", "reasoning", "results")
    found = [
        f"{name} is {getattr(observed, name)!r:.300}, not {getattr(expected, name)!r:.300}"
        for name in compared
        if getattr(expected, name) not in (None, getattr(observed, name))
    ]
    if expected.usage is not None and (usage := {**_NOTHING, **expected.usage}) != observed.usage:
        found.append(f"usage is {observed.usage}, not {usage}")
    if expected.status == "completed" and observed.code is not None:
        found.append(f"it failed with {observed.code}: {observed.message}")
    if expected.says not in observed.message:
        found.append(f"the error does not say {expected.says!r}: {observed.message!r}")
    if expected.hides is not None and expected.hides in observed.message:
        found.append(f"the error shows {expected.hides!r}: {observed.message!r}")
    if observed.calls > expected.max_calls:
        found.append(f"{observed.calls} calls, not {expected.max_calls}")
    if observed.next_turn != "completed":
        found.append(f"the next turn {observed.next_turn}")
    return found
