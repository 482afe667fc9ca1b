"""Runs turns with large answers, many tool calls and large results on a store, as the orchestrator runs them."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.behaviour.models.streams import Response, encode, events
from turnlog.agents.declaration import Agent
from turnlog.agents.tools import ClientTool, tool
from turnlog.domain.actions import Resolution, completed_outcome
from turnlog.domain.ids import InstanceId, SessionId
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message
from turnlog.domain.turn import Fence
from turnlog.domain.webhooks import Delivery
from turnlog.models.openai import OpenAIStream
from turnlog.ports import InstanceStatus, ModelRequest
from turnlog.services.turns.approvals import DecisionRequest
from turnlog.services.turns.attempts import AttemptRequest
from turnlog.services.turns.cancelling import CancelRequest
from turnlog.services.turns.endings import EndRequest
from turnlog.services.turns.submit import NewMessage
from turnlog.settings import Settings
from turnlog.stores import Stores
from turnlog.wiring import Services, SystemClock

OWNER, TRACE = "me", "0" * 32
_PIECE = 24 * 1024
_COMPLETED = EndRequest("completed")


async def repeat(text: str, times: int = 1) -> str:
    """Say `text` so many times."""
    return text * times


async def approve_me(text: str) -> str:
    """Say `text`, if somebody approves it."""
    return text


AGENT = Agent(
    name="large",
    description="Writes much.",
    instructions="Write much.",
    tools=(
        tool(repeat, idempotent=True),
        tool(approve_me, requires_approval=True),
        ClientTool(name="ask", description="Ask.", parameters={"type": "object"}),
    ),
)


@dataclass(frozen=True)
class Call:
    """A tool call that the model requests; `arguments` is what it writes."""

    name: str
    arguments: str

    def __repr__(self) -> str:
        return f"Call({self.name!r}, {_brief(self.arguments)})"


@dataclass(frozen=True)
class Answer:
    """What the model writes in a step. `stops_after`: the turn is asked to stop after so many pieces."""

    text: str = ""
    reasoning: str = ""
    calls: Sequence[Call] = ()
    stops_after: int | None = None

    def __repr__(self) -> str:
        calls = f"{len(self.calls)} calls: {self.calls[:3]}"
        return f"Answer({_brief(self.text)}, {_brief(self.reasoning)}, {calls}, {self.stops_after})"

    def frames(self) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = [{"reasoning_content": piece} for piece in _pieces(self.reasoning)]
        deltas += [{"content": piece} for piece in _pieces(self.text)]
        for index, call in enumerate(self.calls):
            named = {"index": index, "id": f"call_{index}", "type": "function"}
            deltas.append({"tool_calls": [{**named, "function": {"name": call.name, "arguments": ""}}]})
            pieces = [{"index": index, "function": {"arguments": piece}} for piece in _pieces(call.arguments)]
            deltas += [{"tool_calls": [piece]} for piece in pieces]
        return [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]


def _brief(text: str) -> str:
    return f"{len(text)} times {text[:20]!r}"


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


class _Clock(SystemClock):
    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> Any:
        return super().now() + self.ahead


class _Starts:
    """A scheduler whose starts are lost: the test runs the turns."""

    async def start(self, state: SessionState) -> None:
        pass

    async def deliver(self, delivery: Delivery) -> None:
        pass

    async def status(self, instance_id: InstanceId) -> InstanceStatus:
        return "absent"


class LargeTurns(Services):
    """The services on `stores`, with a model that writes `answers`, one for each step; then it says that it is done."""

    def __init__(self, stores: Stores) -> None:
        values = {"delta_flush_ms": (1,), "delta_flush_bytes": 256 * 1024}
        super().__init__(Settings.model_validate(values), stores)
        self.clock: _Clock = _Clock()
        self.answers: list[Answer] = []
        self._session: SessionId | None = None

    async def model(self) -> Any:
        return self

    @asynccontextmanager
    async def stream(self, _: ModelRequest) -> AsyncGenerator[OpenAIStream]:
        answer = self.answers.pop(0) if self.answers else Answer("Done.")
        end: dict[str, Any] = {
            "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if answer.calls else "stop"}]
        }
        packets = encode([*answer.frames(), end, "[DONE]"])
        yield OpenAIStream(events(_Stopping(packets, answer.stops_after, self.cancel)))

    async def begin(self, *answers: Answer) -> Message:
        """Post a message to a new session. Its turn has these answers."""
        created, _ = await self.sessions.create(OWNER, {}, None, TRACE)
        return await self._post(created.session_id, answers)

    async def post(self, before: Message, *answers: Answer) -> Message:
        """Post another message to the session of the message `before`."""
        return await self._post(before.session_id, answers)

    async def _post(self, session_id: SessionId, answers: Sequence[Answer]) -> Message:
        self.answers, self._session = list(answers), session_id
        new = NewMessage("Write much.", TRACE, agent="large")
        return (await self.turns.submit(OWNER, session_id, new, _Starts())).message

    async def cancel(self) -> None:
        if self._session is not None:
            await self.cancelling.cancel(OWNER, self._session, CancelRequest(TRACE), _Starts())

    async def run(self, message: Message, *, cancels_after_tools: int | None = None, decides: int = 0) -> Message:
        """Run the turn to its end, and return its message.

        It is asked to stop after so many tool calls. Of the calls that wait, `decides` are decided; the others expire.
        """
        step = 1
        while (result := await self.model_calls.run(await self._request(message, step))).outcome == "tools":
            outcomes = set[str]()
            for number, call_id in enumerate(result.call_ids):
                if number == cancels_after_tools:
                    await self.cancel()
                request = await self._request(message, step, call_id)
                outcomes.add((await self.tool_calls.run(request)).outcome)
            if "waits" in outcomes and await self._wait_for_decisions(message, decides):
                for call_id in result.call_ids:
                    await self.tool_calls.run(await self._request(message, step, call_id))
            step += 1
        if result.outcome != "ended":
            return await self.end(message, EndRequest("failed" if result.failure else "completed", result.failure))
        return await self.messages.get(OWNER, message.message_id)

    async def end(self, message: Message, request: EndRequest = _COMPLETED) -> Message:
        """End the turn, and return its message."""
        await self.endings.end(message.session_id, await self._fence(message), request, _Starts())
        return await self.messages.get(OWNER, message.message_id)

    async def _wait_for_decisions(self, message: Message, decides: int) -> bool:
        """Park the turn, decide some calls, and let the others expire. False if it is asked to stop."""
        session_id = message.session_id
        if await self.approvals.park(session_id, await self._fence(message), _Starts()) != "parked":
            return False
        turn = (await self.sessions.get(OWNER, session_id)).active_turn
        assert turn is not None
        for call_id, action in list(turn.open_actions.items())[:decides]:
            answer = Resolution("result", OWNER, outcome=completed_outcome({"answer": "\n" * 100_000}))
            resolution = Resolution("approve", OWNER) if action.kind == "approval" else answer
            await self.approvals.decide(OWNER, session_id, DecisionRequest({call_id: resolution}, TRACE), _Starts())
        self.clock.ahead += self.settings.approval_timeout + timedelta(seconds=1)
        await self.approvals.expire(session_id, message.turn_id, _Starts())
        return True

    async def _fence(self, message: Message) -> Fence:
        turn = (await self.sessions.get(OWNER, message.session_id)).active_turn
        assert turn is not None
        return Fence(turn.turn_id, turn.instance_id)

    async def _request(self, message: Message, step: int, call_id: str | None = None) -> AttemptRequest:
        fence, deadline = await self._fence(message), self.clock.now() + timedelta(minutes=10)
        return AttemptRequest(message.session_id, fence, step, fence_attempt(fence), deadline, call_id=call_id)


def fence_attempt(fence: Fence) -> int:
    """The attempt's number: each instance counts on from the one before."""
    return int(fence.instance_id.partition("~")[2] or 1)


class _Stopping(Response):
    """A response that asks the turn to stop while it is read."""

    def __init__(self, packets: Sequence[bytes], stops_after: int | None, stop: Any) -> None:
        super().__init__(packets)
        self._stops_after, self._stop = stops_after, stop

    async def aiter_bytes(self) -> AsyncGenerator[bytes]:
        async for packet in super().aiter_bytes():
            if self.read - 1 == self._stops_after:
                await self._stop()
            yield packet


def arguments_of(**fields: Any) -> str:
    """Arguments as a model writes them."""
    return json.dumps(fields, ensure_ascii=False)
