"""Errors that come with the status 200: in a stream, or instead of one."""

from tests.model_servers.answers import Body, answered, html, in_order, stream
from tests.model_servers.habit import Expected, Habit, failed, refused_at_once
from tests.model_servers.objects import BEGINNING, DONE, chunk, error, text
from tests.model_servers.server import Answer, Json

_TOO_LONG = "This model's maximum context length is 4096 tokens."
_KEY = "sk-proj-abcdefghijklmnop"
_HOST = "gpu-7.llm.internal"
_BAD_CALL = {
    "error": {
        "message": "Failed to call a function. Please adjust your prompt.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "<function=calculate>",
        "status_code": 400,
    }
}


def _always(name: str, by: str, does: str, answer: Answer, *expected: str) -> Habit:
    """A server that never recovers from a fault that may pass. `expected`: its words, and the code if it is another."""
    says, code = (*expected, "model_error")[:2]
    return Habit(name, by, does, answer, failed(code, says))


def _final(name: str, by: str, value: Json, code: str, says: str) -> Habit:
    """A server that says in a stream what no further call can change."""
    does = f"Sends an error in the stream which means {code}."
    return Habit(name, by, does, stream(value), refused_at_once(code, says))


def _once(name: str, by: str, does: str, answer: Answer) -> Habit:
    """A server that answers when it is called again."""
    return Habit(name, by, does, in_order(answer, answered()), Expected(max_calls=2))


HABITS = (
    _once("error-once", "OpenAI, vLLM", "Sends an error before any text.", stream(error("The server had an error"))),
    _once("error-and-done", "vLLM, LiteLLM", "Sends `[DONE]` after an error.", stream(error("Timeout", 504), DONE)),
    _once("error-bad-call", "Groq", "Says that the model wrote a bad call.", stream(_BAD_CALL)),
    _once(
        "error-overloaded",
        "Anthropic",
        "Is overloaded in mid-answer.",
        stream(*text(BEGINNING), error("Overloaded", type="overloaded_error")),
    ),
    _once(
        "error-rate",
        "Groq, OpenRouter",
        "Limits the rate in a stream.",
        stream(error("Too fast", "rate_limit_exceeded")),
    ),
    Habit(
        "error-later",
        "OpenRouter",
        "Sends an error after some text, beside a choice.",
        stream(*text(BEGINNING), {**chunk({"content": ""}, "error"), **error("Provider disconnected", "server_error")}),
        failed("model_error", "Provider disconnected", answer=BEGINNING),
    ),
    _final("error-402", "OpenRouter", error("Insufficient credits. Add more.", 402), "insufficient_quota", "credits"),
    _final("error-402-text", "gateways", error("No money left.", "402"), "insufficient_quota", "No money"),
    _final(
        "error-context",
        "vLLM, Groq",
        error(_TOO_LONG, "context_length_exceeded"),
        "context_length_exceeded",
        "maximum context",
    ),
    _final("error-key", "gateways", error("Bad key", "invalid_api_key"), "model_unauthorized", "Bad key"),
    _final(
        "error-refused", "OpenAI", error("No such role", type="invalid_request_error"), "model_refused", "No such role"
    ),
    _final("error-filter", "DashScope", error("Bad words", "data_inspection_failed"), "content_filter", "Bad words"),
    _always(
        "error-text",
        "small servers",
        "Sends an error that is a text.",
        stream({"error": "CUDA out of memory"}),
        "CUDA out of memory",
    ),
    _always(
        "error-list",
        "gateways",
        "Sends an error that is a list.",
        stream({"error": [{"message": "one"}, {"message": "two"}]}),
        "one; two",
    ),
    _always(
        "error-nested",
        "LiteLLM, gateways",
        "Sends JSON in the text of an error.",
        stream(error('{"error": {"message": "{\\"detail\\": \\"no slot\\"}"}}')),
        "reports: no slot",
    ),
    _always(
        "error-event",
        "gateways",
        "Sends an `error` event without the field `error`.",
        stream(b'event: error\ndata: {"message": "upstream is gone", "code": 502}\n\n'),
        "upstream is gone",
    ),
    _always(
        "error-event-text",
        "gateways",
        "Sends an `error` event that is not JSON.",
        stream(b"event: error\ndata: upstream is gone\n\n"),
        "upstream is gone",
    ),
    _always(
        "error-line",
        "llama.cpp",
        "Sends a line `error:` instead of `data:`.",
        stream(b'error: {"code": 500, "message": "slot unavailable", "type": "server_error"}\n\n'),
        "slot unavailable",
    ),
    _always(
        "error-object",
        "older vLLM, FastChat",
        "Sends an error object instead of a chunk.",
        stream({"object": "error", "message": "NaN in logits", "code": 50002}),
        "NaN in logits",
    ),
    _always(
        "error-type",
        "Claude behind gateways",
        "Sends an object of the type `error`.",
        stream({"type": "error", "message": "went away"}),
        "went away",
    ),
    _always(
        "error-other-names",
        "Baidu",
        "Names the fields of an error differently.",
        stream({"error_code": 336100, "error_msg": "busy, try later"}),
        "busy, try later",
    ),
    _always(
        "error-base-resp",
        "MiniMax",
        "Puts the error beside empty choices.",
        stream({"choices": None, "base_resp": {"status_code": 1000, "status_msg": "unknown fault"}}),
        "unknown fault",
    ),
    _always(
        "error-not-json",
        "gateways",
        "Sends words as the data of a frame.",
        stream("upstream connect error"),
        "upstream connect error",
        "model_broke_off",
    ),
    _always(
        "error-cut",
        "proxies",
        "Sends half of a chunk as a frame.",
        stream('{"choices": [{"index": 0, "del'),
        "not JSON",
        "model_broke_off",
    ),
    _always("error-number", "small servers", "Sends a number instead of a chunk.", stream("7"), "", "model_broke_off"),
    _always(
        "error-deep",
        "nobody",
        "Nests lists 100,000 times.",
        stream("[" * 100_000 + "]" * 100_000),
        "",
        "model_broke_off",
    ),
    _always(
        "json-error",
        "gateways",
        "Sends an error object as JSON.",
        Body(200, error("upstream quota", 500)),
        "upstream quota",
    ),
    _always(
        "json-list",
        "Gemini",
        "Sends an error in a list as JSON.",
        Body(200, [error("internal", 500)]),
        "internal",
        "model_broke_off",
    ),
    _always(
        "json-detail", "FastAPI", "Sends a detail as JSON.", Body(200, {"detail": {"reason": "no worker"}}), "no worker"
    ),
    _always(
        "page",
        "captive portals",
        "Sends a page of HTML.",
        html(200, "<html><body>Please <b>sign in</b></body></html>"),
        "sign in",
        "model_broke_off",
    ),
    _always(
        "nothing",
        "gateways",
        "Sends no byte.",
        Body(200, "", content_type="text/event-stream"),
        "no answer",
        "model_broke_off",
    ),
    _always(
        "only-comments",
        "gateways",
        "Sends comments, and no answer.",
        stream(b": ping\n\n", b": ping\n\n"),
        "no answer",
        "model_broke_off",
    ),
    _always(
        "bytes",
        "gateways",
        "Compresses in a way that was not asked for.",
        Body(200, "\x1b\x0e\xff\x00\ufffd", {"content-encoding": "br"}),
        "no answer",
        "model_broke_off",
    ),
    Habit(
        "error-shows-key",
        "gateways",
        "Shows its key.",
        stream(error(f"Upstream said: Incorrect API key provided: {_KEY}.")),
        failed("model_error", "Incorrect API key", hides=_KEY),
    ),
    Habit(
        "error-shows-host",
        "gateways",
        "Shows its host.",
        stream(error(f"dial tcp: lookup {_HOST} on 10.0.0.10:53: no such host")),
        failed("model_error", "dial tcp", hides=_HOST),
    ),
    Habit(
        "error-shows-text",
        "gateways",
        "Shows its key in a frame that is not JSON.",
        stream(f"refused: Authorization: Bearer {_KEY}"),
        failed("model_broke_off", hides=_KEY),
    ),
)
