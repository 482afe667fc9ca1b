"""How answers end, also where they end too early."""

from tests.model_servers.answers import answered, calling, in_order, stream
from tests.model_servers.habit import Expected, Habit, failed
from tests.model_servers.objects import (
    BEGINNING,
    DONE,
    TEXT,
    USAGE,
    call,
    calls,
    chunk,
    ending,
    text,
    used,
    with_choice,
)

_FINISH = chunk(reason="stop")
_SAFE = {"hate": {"filtered": False, "severity": "safe"}}
_LATE_FILTER = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [{"index": 0, "finish_reason": None, "content_filter_results": _SAFE}],
}
_BROKEN_OFF = failed("model_broke_off", answer=BEGINNING)
_NOTHING = failed("model_broke_off", answer="")


def _reason(name: str, by: str, reason: object) -> Habit:
    """A server with its own reason for a complete answer."""
    does = f"Calls the reason of a complete answer {reason!r}."
    expects = Expected(usage=USAGE, finish_reason=reason if isinstance(reason, str) else "stop")
    last = with_choice(chunk(), finish_reason=reason)
    return Habit(name, by, does, stream(*text(), last, used(), DONE), expects)


def _cut_short(name: str, by: str, reason: str) -> Habit:
    """A server with its own reason for an answer that is not whole: it answers when it is called again."""
    does = f"Ends an answer that it could not complete with the reason {reason!r}."
    return Habit(name, by, does, in_order(stream(*text(BEGINNING), *ending(reason)), answered()), Expected(max_calls=2))


HABITS = (
    Habit("end-no-done", "several", "Ends without `[DONE]`.", stream(*text(), _FINISH)),
    Habit(
        "end-done-alone", "xinference, proxies before Gemini", "Sends `[DONE]`, but no reason.", stream(*text(), DONE)
    ),
    Habit("end-nothing", "proxies", "Ends in order, in mid-answer.", stream(*text(BEGINNING)), _BROKEN_OFF),
    Habit(
        "end-nothing-once",
        "proxies",
        "Ends in mid-answer once.",
        in_order(stream(*text(BEGINNING)), answered()),
        Expected(max_calls=2),
    ),
    Habit(
        "end-only-done",
        "vLLM",
        "Sends `[DONE]` alone where generation failed before the first token.",
        in_order(stream(DONE), answered()),
        Expected(max_calls=2),
    ),
    Habit("end-only-done-always", "vLLM", "Sends `[DONE]` alone every time.", stream(chunk(), DONE), _NOTHING),
    Habit(
        "reason-empty",
        "Ollama 0.1",
        "Gives an empty reason with each chunk before the last.",
        stream(*(chunk({"content": each["choices"][0]["delta"]["content"]}, "") for each in text()), *ending()),
    ),
    Habit(
        "reason-empty-cut",
        "Ollama 0.1",
        "Breaks off after a chunk with an empty reason.",
        stream(chunk({"content": BEGINNING}, "")),
        _BROKEN_OFF,
    ),
    Habit(
        "reason-with-text",
        "several",
        "Gives the reason with the last text.",
        stream(chunk({"content": TEXT}, "stop"), DONE),
    ),
    Habit("reason-twice", "LiteLLM", "Gives the reason in two chunks.", stream(*text(), _FINISH, *ending())),
    Habit(
        "reason-then-null",
        "Azure OpenAI",
        "Sends a chunk without reason, delta, id and model after the reason.",
        stream(*text(), _FINISH, _LATE_FILTER, DONE),
        Expected(finish_reason="stop"),
    ),
    _reason("reason-eos", "Together", "eos"),
    _reason("reason-end-turn", "OpenRouter before Claude", "end_turn"),
    _reason("reason-upper-case", "gateways before Gemini", "STOP"),
    _reason("reason-object", "SGLang", {"type": "stop", "matched": 2}),
    _reason("reason-length", "all", "length"),
    Habit(
        "reason-filtered",
        "Azure OpenAI",
        "Ends with the reason `content_filter` after some text.",
        stream(*text(BEGINNING), chunk(reason="content_filter"), DONE),
        Expected(answer=BEGINNING, finish_reason="content_filter"),
    ),
    _cut_short("reason-error", "OpenRouter", "error"),
    _cut_short("reason-abort", "vLLM, SGLang", "abort"),
    _cut_short("reason-resources", "DeepSeek", "insufficient_system_resource"),
    _cut_short("reason-network", "Zhipu", "network_error"),
    _cut_short("reason-malformed-call", "Gemini", "MALFORMED_FUNCTION_CALL"),
    Habit(
        "reason-error-always",
        "OpenRouter",
        "Ends with the reason `error`, without an error object.",
        stream(*text(BEGINNING), *ending("error")),
        failed("model_error", "'error'", answer=BEGINNING),
    ),
    Habit("reason-no-word", "all", "Ends without a word.", stream(*ending()), Expected(answer="")),
    Habit(
        "reason-no-calls",
        "vLLM",
        "Announces tool calls, and sends neither a call nor a word.",
        stream(*ending("tool_calls")),
        failed("model_broke_off", "tool calls"),
    ),
    Habit(
        "reason-no-calls-but-text",
        "SGLang",
        "Announces tool calls, but has answered in words.",
        stream(*text(), *ending("tool_calls")),
    ),
    Habit(
        "call-cut-off",
        "proxies",
        "Breaks off inside a tool call once.",
        in_order(stream(calls(call('{"expre', index=0))), calling(calls(call(index=0))).first, answered()),
        Expected(max_calls=3, results=("42",)),
    ),
    Habit("done-then-hang-up", "small servers", "Closes after `[DONE]`, inside its encoding.", answered(end="hang_up")),
    Habit("done-then-reset", "load balancers", "Breaks the connection after `[DONE]`.", answered(end="reset")),
    Habit("done-then-hold", "any", "Keeps the stream open after `[DONE]`.", answered(end="hold")),
    Habit(
        "reason-then-reset",
        "load balancers",
        "Breaks the connection after the reason.",
        stream(*text(), _FINISH, end="reset"),
    ),
    Habit(
        "reason-then-hang-up",
        "load balancers",
        "Closes the connection after the reason, inside its encoding.",
        stream(*text(), _FINISH, used(), end="hang_up"),
        Expected(usage=USAGE),
    ),
    Habit(
        "reason-then-hold", "proxies", "Keeps the stream open after the reason.", stream(*text(), _FINISH, end="hold")
    ),
)
