"""How servers stream with the Responses API."""

import json
from typing import Any

from tests.model_servers.answers import Body, in_order, stream
from tests.model_servers.habit import Expected, Habit, failed, refused_at_once
from tests.model_servers.objects import BEGINNING, PIECES, TEXT, error
from tests.model_servers.server import Answer, Json

PLAIN_RESPONSE = "response"
_USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
_COUNTED = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
_EXPECTED = Expected(usage=_COUNTED)
_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": TEXT}]}


def event(kind: str, **fields: Any) -> bytes:
    """Return a frame that names its event twice, as OpenAI does."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def response(status: str = "completed", *output: Json, **fields: Any) -> Json:
    more = {"error": None, "incomplete_details": None, "usage": _USAGE, **fields}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": status,
        "output": output,
        **more,
    }


def end(status: str = "completed", *output: Json, **fields: Any) -> bytes:
    return event(f"response.{status}", response=response(status, *output, **fields))


def deltas(*pieces: str) -> list[bytes]:
    return [
        event("response.output_text.delta", item_id="msg_1", output_index=0, delta=each) for each in pieces or PIECES
    ]


def of_responses(name: str, by: str, does: str, answer: Answer, expects: Expected = _EXPECTED) -> Habit:
    """Return a habit of a server that is called with this API."""
    return Habit(name, by, does, answer, expects, next_model=PLAIN_RESPONSE, api="responses")


HABITS = (
    of_responses(
        PLAIN_RESPONSE,
        "OpenAI",
        "Streams as OpenAI does.",
        stream(
            event("response.created", response=response("in_progress")),
            *deltas(),
            event("response.output_text.done", output_index=0, text=TEXT),
            event("response.output_item.done", output_index=0, item=_MESSAGE),
            end("completed", _MESSAGE),
        ),
    ),
    of_responses(
        "response-no-names",
        "vLLM",
        "Does not name its events outside of the data.",
        stream(*(each.partition(b"\n")[2] for each in (*deltas(), end()))),
    ),
    of_responses("response-done", "gateways", "Sends `[DONE]` at the end.", stream(*deltas(), end(), "[DONE]")),
    of_responses(
        "response-text-at-once",
        "gateways",
        "Sends the text as a whole.",
        stream(event("response.output_text.done", output_index=0, text=TEXT), end("completed", _MESSAGE)),
    ),
    of_responses(
        "response-item-at-once",
        "gateways",
        "Sends the message as a whole.",
        stream(event("response.output_item.done", output_index=0, item=_MESSAGE), end("completed", _MESSAGE)),
    ),
    of_responses(
        "response-end-alone",
        "gateways",
        "Sends the end alone, with everything in it.",
        stream(end("completed", _MESSAGE)),
    ),
    of_responses(
        "response-whole",
        "servers that ignore `stream`",
        "Sends the whole response as JSON.",
        Body(200, response("completed", _MESSAGE)),
    ),
    of_responses(
        "response-refusal",
        "OpenAI",
        "Refuses to answer.",
        stream(event("response.refusal.delta", delta="I can't."), end()),
        Expected(answer="I can't."),
    ),
    of_responses(
        "response-summary",
        "OpenAI",
        "Sends summaries of its thoughts.",
        stream(event("response.reasoning_summary_text.delta", delta="Greet her."), *deltas(), end()),
        Expected(reasoning="Greet her."),
    ),
    of_responses(
        "response-thoughts",
        "vLLM, LM Studio",
        "Sends its thoughts.",
        stream(event("response.reasoning_text.delta", delta="Greet her."), *deltas(), end()),
        Expected(reasoning="Greet her."),
    ),
    of_responses(
        "response-length",
        "OpenAI",
        "Stops at the limit.",
        stream(*deltas(), end("incomplete", incomplete_details={"reason": "max_output_tokens"})),
        Expected(finish_reason="length"),
    ),
    of_responses(
        "response-unknown",
        "OpenAI",
        "Sends events that nobody knows.",
        stream(event("response.new_thing", delta=7), *deltas(), end()),
    ),
    of_responses(
        "response-failed",
        "OpenAI",
        "Fails in the end.",
        stream(*deltas(BEGINNING), end("failed", error={"code": "server_error", "message": "It broke."})),
        failed("model_error", "It broke.", answer=BEGINNING),
    ),
    of_responses(
        "response-failed-for-good",
        "OpenAI",
        "Fails because the context is too long.",
        stream(end("failed", error={"code": "context_length_exceeded", "message": "Too long."})),
        refused_at_once("context_length_exceeded", "Too long."),
    ),
    of_responses(
        "response-error",
        "OpenAI",
        "Sends an `error` event.",
        stream(*deltas(BEGINNING), event("error", code="server_error", message="It broke.")),
        failed("model_error", "It broke."),
    ),
    of_responses(
        "response-error-unnamed",
        "gateways",
        "Sends an error without naming the event.",
        stream({"type": "error", "code": None, "message": "It broke."}),
        failed("model_error", "It broke."),
    ),
    of_responses(
        "response-nothing",
        "proxies",
        "Ends in mid-answer.",
        stream(*deltas(BEGINNING)),
        failed("model_broke_off", answer=BEGINNING),
    ),
    of_responses(
        "response-reset",
        "load balancers",
        "Breaks the connection in mid-answer.",
        stream(*deltas(BEGINNING), end="reset"),
        failed("model_broke_off", answer=BEGINNING),
    ),
    of_responses(
        "response-hold", "proxies", "Keeps the stream open after the end.", stream(*deltas(), end(), end="hold")
    ),
    of_responses(
        "response-refused",
        "OpenAI",
        "Does not know `include`.",
        in_order(
            Body(400, error("Unknown parameter: 'include'.", "unknown_parameter", param="include")),
            stream(*deltas(), end()),
        ),
        Expected(max_calls=2),
    ),
)
