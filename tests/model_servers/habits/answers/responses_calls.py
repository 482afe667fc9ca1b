"""How servers stream tool calls with the Responses API."""

from typing import Any

from tests.model_servers.answers import InOrder, in_order, refused, stream
from tests.model_servers.habit import Expected
from tests.model_servers.habits.answers.responses_api import deltas, end, event, of_responses
from tests.model_servers.server import Exchange, Json

_CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "calculate",
    "arguments": '{"expression": "6*7"}',
}
_REASONING: Json = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [],
    "encrypted_content": "c2VjcmV0",
    "status": "completed",
}


def _called(*frames: Any) -> InOrder:
    """Return an answer that calls a tool, and says its result when called again."""
    return in_order(stream(*frames), _say_result)


async def _say_result(exchange: Exchange) -> None:
    """Refuse a call without its reasoning, or one of another id; else say what it returned."""
    items: list[Json] = exchange.request.body["input"]
    results = [item["output"] for item in items if item.get("type") == "function_call_output"]
    reasoning = [item for item in items if item.get("type") == "reasoning"]
    if any("status" in item for item in reasoning):
        await refused("Unknown parameter: 'input[1].status'.")(exchange)
        return
    await stream(*deltas("The tools said: " + " | ".join(results)), end())(exchange)


_ARGUMENTS = [
    event("response.function_call_arguments.delta", item_id="fc_1", output_index=1, delta=each)
    for each in ('{"expression": ', '"6*7"}')
]
_ADDED = event("response.output_item.added", output_index=1, item={**_CALL, "arguments": ""})
_TOOL = Expected(answer="The tools said: 42", results=("42",), max_calls=2)

HABITS = (
    of_responses(
        "response-call",
        "OpenAI",
        "Thinks, and calls a tool in pieces.",
        _called(
            event("response.output_item.done", output_index=0, item=_REASONING),
            _ADDED,
            *_ARGUMENTS,
            event("response.output_item.done", output_index=1, item=_CALL),
            end("completed", _REASONING, _CALL),
        ),
        _TOOL,
    ),
    of_responses(
        "response-call-whole",
        "gateways",
        "Sends a call as a whole.",
        _called(event("response.output_item.done", output_index=1, item=_CALL), end("completed", _CALL)),
        _TOOL,
    ),
    of_responses(
        "response-call-arguments",
        "gateways",
        "Sends the arguments as a whole.",
        _called(
            _ADDED,
            event("response.function_call_arguments.done", output_index=1, arguments=_CALL["arguments"]),
            end(),
        ),
        _TOOL,
    ),
    of_responses(
        "response-call-at-end",
        "gateways",
        "Sends a call at the end alone.",
        _called(end("completed", _REASONING, _CALL)),
        _TOOL,
    ),
    of_responses(
        "response-no-index",
        "small servers",
        "Sends ids of items, and no index.",
        _called(
            event("response.output_item.added", item={**_CALL, "arguments": ""}),
            event("response.function_call_arguments.delta", item_id="fc_1", delta=_CALL["arguments"]),
            end(),
        ),
        _TOOL,
    ),
)
