"""The simulated model: streams text and tool calls, fails, falls silent, and counts what it bills."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.simulation.observations import ModelCall, Observations
from tests.simulation.processes import CURRENT
from turnlog.domain.errors import ModelError
from turnlog.domain.values import Piece, ToolCall, Usage
from turnlog.ports import ModelRequest

_PACES = ((0, 0.05), (1, 0.2), (3, 2.0), (10, 0.4), (30, 0.02), (12, 2.5))
"""How many pieces of text an answer has, and the seconds before each."""
_WORDS = ("log", "turn", "step", "chunk", "event", "é", "日本", "\n")


@dataclass(frozen=True)
class Habits:
    """How likely the model does what.

    `refuses`: it fails before the first piece. `breaks_off`: it fails after some. `falls_silent`: it sends nothing any
    more. `is_large`: an answer of hundreds of kilobytes, or of more tool calls than a batch has room for.
    """

    refuses: float = 0.06
    breaks_off: float = 0.04
    falls_silent: float = 0.05
    is_large: float = 0.0


@dataclass(frozen=True)
class _Script:
    """One answer: its pieces of text, the seconds before each, its tool calls, and where it fails."""

    texts: Sequence[str]
    gap: float
    calls: Sequence[ToolCall]
    fails_after: int | None = None
    silent_after: int | None = None


class SimulatedModel:
    """Implements `turnlog.ports.ModelClient`."""

    def __init__(self, rng: Random, observations: Observations, habits: Habits) -> None:
        self._rng = rng
        self._observations = observations
        self._habits = habits

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator["SimulatedStream"]:
        await CURRENT.get().sleep(self._rng.uniform(0.01, 0.3))
        call = self._observations.begin_model_call()
        try:
            if self._rng.random() < self._habits.refuses:
                transient = self._rng.random() < 0.8
                raise ModelError("model_overloaded", "The model is overloaded.", transient=transient)
            yield SimulatedStream(self._script(request), request, call)
        finally:
            self._observations.end_model_call(call)

    async def check(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def _script(self, request: ModelRequest) -> _Script:
        rng, habits = self._rng, self._habits
        count, gap = rng.choice(_PACES)
        texts = [f"{rng.choice(_WORDS)}{rng.randrange(100)} " for _ in range(count)]
        if rng.random() < habits.is_large:
            texts = ["x" * rng.choice((40_000, 300_000)) for _ in range(2)]
        fails_after = rng.randrange(count) if count and rng.random() < habits.breaks_off else None
        silent_after = rng.randrange(count + 1) if rng.random() < habits.falls_silent else None
        return _Script(texts, gap, self._calls(request), fails_after, silent_after)

    def _calls(self, request: ModelRequest) -> list[ToolCall]:
        rng = self._rng
        if not request.may_call_tools or rng.random() < 0.35:
            return []
        count = rng.choice((1, 1, 2, 3))
        if rng.random() < self._habits.is_large:
            count = rng.choice((3, 110))
        names = [str(tool["function"]["name"]) for tool in request.tools]
        # Of many calls, all wait for the same, or all run.
        names = [rng.choice(names)] if count > 3 else [*names, *names, "unknown"]
        calls = [self._call(index, rng.choice(names)) for index in range(count)]
        if count <= 3 and rng.random() < self._habits.is_large:
            padded = json.dumps({**json.loads(calls[0].arguments), "padding": "x" * rng.choice((40_000, 1_200_000))})
            calls[0] = calls[0].model_copy(update={"arguments": padded})
        return calls

    def _call(self, index: int, name: str) -> ToolCall:
        rng = self._rng
        arguments: dict[str, Any] = {}
        match name:
            case "calculate":
                arguments = {"expression": rng.choice(("1+1", "2**10", "1/0"))}
            case "draw_lots":
                arguments = {"names": ["Ada", "Grace", "Mary"], "count": 1}
            case "ask_user":
                arguments = {"question": "Who takes part?"}
            case "propose_patch":
                node = {"name": f"node {rng.randrange(1000)}"}
                path = "/nodes/" if rng.random() < 0.2 else f"/nodes/n{rng.randrange(4)}"
                arguments = {"patch": [{"op": "add", "path": path, "value": node}]}
            case _:
                pass
        return ToolCall(id=f"call_{index}", name=name, arguments=json.dumps(arguments))


class SimulatedStream:
    """Implements `turnlog.ports.ModelStream`."""

    def __init__(self, script: _Script, request: ModelRequest, call: ModelCall) -> None:
        self._script = script
        self._request = request
        self._call = call
        self.text = ""
        self.reasoning = ""
        self.tool_calls: Sequence[ToolCall] = ()
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.vendor: dict[str, Any] = {}

    async def __aiter__(self) -> AsyncIterator[Piece]:
        process, script = CURRENT.get(), self._script
        for index, text in enumerate(script.texts):
            await self._fail(index)
            await process.sleep(script.gap)
            self._count()
            self.text += text
            yield Piece("text", text)
        await self._fail(len(script.texts))
        for index, call in enumerate(script.calls):
            await process.sleep(script.gap)
            self._count()
            yield Piece("arguments", call.arguments, index, call.name)
        await process.sleep(script.gap)
        self._call.is_billed = True
        self.tool_calls = script.calls
        self.usage = Usage(prompt_tokens=3, completion_tokens=len(script.texts), total_tokens=3 + len(script.texts))
        self.finish_reason = "tool_calls" if script.calls else "stop"

    def _count(self) -> None:
        self._call.pieces += 1
        self._call.is_billed = True

    async def _fail(self, index: int) -> None:
        if index == self._script.silent_after:
            await asyncio.sleep(self._request.max_silence.total_seconds())
            await CURRENT.get().gate()
            self._call.broke_off = True
            raise ModelError("model_timeout", "The model sent nothing for too long.", transient=False)
        if index == self._script.fails_after:
            self._call.broke_off = True
            raise ModelError("model_broke_off", "The model's connection broke off.", transient=True)

    @property
    def response(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "finish_reason": self.finish_reason, "message": message}
        return {"object": "chat.completion", "model": self._request.model, "choices": [choice]}
