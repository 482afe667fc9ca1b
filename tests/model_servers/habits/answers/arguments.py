"""How servers write the name and the arguments of a tool call."""

from tests.model_servers.answers import calling
from tests.model_servers.habit import Expected, Habit, with_results
from tests.model_servers.habits.answers.tool_calls import in_pieces
from tests.model_servers.objects import (
    call,
    chunk,
    rest,
)

_SECOND = '{"expression": "9*9"}'
_HEAD, _TAIL = '{"expression": ', '"6*7"}'
_ONE = with_results("42")
_BOTH = with_results("42", "81")
_TIME = "2026-01-01T00:00:00Z"


HABITS = (
    in_pieces(
        "name-in-pieces",
        "small servers",
        "Sends the name in two pieces.",
        [call("", "calc", index=0)],
        [{"index": 0, "function": {"name": "ulate", "arguments": '{"expression": "6*7"}'}}],
    ),
    in_pieces(
        "name-last",
        "SGLang",
        "Sends the arguments before the name.",
        [{"id": "a", "function": {"arguments": _HEAD}}],
        [{"id": "a", "function": {"name": "calculate", "arguments": _TAIL}}],
    ),
    in_pieces(
        "arguments-object", "llama.cpp, TGI", "Sends arguments as an object.", [call({"expression": "6*7"}, index=0)]
    ),
    in_pieces(
        "arguments-twice-encoded",
        "Qwen templates, gateways",
        "Encodes arguments twice.",
        [call('"{\\"expression\\": \\"6*7\\"}"', index=0)],
    ),
    in_pieces(
        "arguments-again",
        "proxies",
        "Sends the whole arguments once more at the end.",
        [call("", index=0)],
        [rest(_HEAD, index=0)],
        [rest(_TAIL, index=0)],
        [rest(_HEAD + _TAIL, index=0)],
    ),
    in_pieces(
        "arguments-so-far",
        "small servers",
        "Repeats all earlier arguments in each piece.",
        [call(_HEAD, index=0)],
        [call(_HEAD + '"6', index=0)],
        [call(_HEAD + _TAIL, index=0)],
    ),
    in_pieces(
        "arguments-spaced",
        "Mistral",
        "Writes white space around the arguments.",
        [call(' {"expression":\n "6*7"} \n', index=0)],
    ),
    in_pieces(
        "arguments-none",
        "vLLM, Ollama",
        "Calls tools without arguments: null, absent or empty.",
        [call(None, "current_time", index=0)],
        [{"id": "b", "type": "function", "index": 1, "function": {"name": "current_time"}}],
        [call("", "current_time", index=2, id="c")],
        expects=with_results(_TIME, _TIME, _TIME),
    ),
    in_pieces(
        "arguments-none-index-same",
        "Gemini behind proxies",
        "Gives such calls one index.",
        [call("", "current_time", index=0, id="a")],
        [call("", "current_time", index=0, id="b")],
        expects=with_results(_TIME, _TIME),
    ),
    in_pieces(
        "function-null",
        "small servers",
        "Sends a piece whose function is null.",
        [{"index": 0, "id": "call_0", "type": "function", "function": None}],
        [call(index=0)],
    ),
    in_pieces("nulls", "small servers", "Sends null among the calls.", [None, call(index=0)]),
    in_pieces(
        "entries-two",
        "OpenAI",
        "Sends two entries of one index in one chunk.",
        [call("", index=0), rest('{"expression": "6*7"}', index=0)],
    ),
    in_pieces(
        "flat",
        "Cloudflare",
        "Sends name and arguments without `function`.",
        [{"name": "calculate", "arguments": {"expression": "6*7"}}],
    ),
    in_pieces(
        "name-prefixed",
        "gpt-oss, Gemini",
        "Puts a prefix before the name.",
        [call(name="functions.calculate", index=0)],
        expects=Expected(answer=None, max_calls=2),
    ),
    in_pieces(
        "arguments-broken",
        "small models",
        "Writes arguments that are not JSON.",
        [call('{"expression": 6*7', index=0)],
        expects=Expected(answer=None, max_calls=2),
    ),
    in_pieces(
        "arguments-3-mb",
        "any",
        "Writes 3 MB of arguments.",
        [call('{"expression": "' + "1" * 3_000_000 + '"}', index=0)],
        expects=Expected(answer=None, max_calls=2),
    ),
    Habit(
        "calls-object",
        "small servers",
        "Sends `tool_calls` as an object.",
        calling(chunk({"tool_calls": call(index=0)})),
        _ONE,
    ),
    Habit(
        "calls-by-number",
        "PHP servers",
        "Sends `tool_calls` as an object of numbers.",
        calling(chunk({"tool_calls": {"0": call(), "1": call(_SECOND, id="b")}})),
        _BOTH,
    ),
    Habit(
        "function-call",
        "old servers",
        "Sends `function_call` instead of `tool_calls`.",
        calling(
            chunk({"function_call": {"name": "calculate", "arguments": _HEAD}}),
            chunk({"function_call": {"arguments": _TAIL}}),
            reason="function_call",
        ),
        _ONE,
    ),
)
