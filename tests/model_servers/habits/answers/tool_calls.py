"""How servers write tool calls."""

from typing import Any

from tests.model_servers.answers import Body, Calling, calling, calling_in_pieces, stream
from tests.model_servers.habit import Expected, Habit, with_results
from tests.model_servers.objects import (
    DONE,
    TWICE,
    USAGE,
    call,
    calls,
    chunk,
    rest,
    text,
    used,
    whole,
    with_choice,
)

_SECOND = '{"expression": "9*9"}'
_HEAD, _TAIL = '{"expression": ', '"6*7"}'
_ONE = with_results("42")
_BOTH = with_results("42", "81")
_TIME = "2026-01-01T00:00:00Z"


def in_pieces(
    name: str, by: str, does: str, *deltas: list[Any], expects: Expected = _ONE, reason: str = "tool_calls"
) -> Habit:
    """A server that sends tool calls as `deltas`, each a list of fragments."""
    return Habit(name, by, does, calling_in_pieces(*deltas, reason=reason), expects)


HABITS = (
    in_pieces(
        "call",
        "OpenAI",
        "Sends id and name first, then the arguments in pieces.",
        [call("", index=0)],
        *([rest(piece, index=0)] for piece in ('{"expr', 'ession": "6', '*7"}')),
        expects=with_results("42", usage=TWICE),
    ),
    in_pieces(
        "calls-parallel",
        "OpenAI",
        "Sends one call after the other.",
        *(
            [each]
            for index, value in enumerate(("6*7", "9*9"))
            for each in (
                call("", index=index, id=f"call_{index}"),
                rest(_HEAD, index=index),
                rest(f'"{value}"}}', index=index),
            )
        ),
        expects=_BOTH,
    ),
    in_pieces(
        "calls-interleaved",
        "any",
        "Sends pieces of two calls in turns.",
        [call('{"expre', index=0), call(_HEAD, index=1, id="call_1")],
        [rest('"9*9"}', index=1), rest('ssion": "6*7"}', index=0)],
        expects=_BOTH,
    ),
    in_pieces(
        "index-none", "Gemini", "Sends a whole call without an index.", [call(id="function-call-1")], reason="stop"
    ),
    in_pieces(
        "index-none-pieces", "Gemini", "Sends pieces without an index.", [call(_HEAD)], [rest(_TAIL)], reason="stop"
    ),
    in_pieces(
        "index-none-two",
        "Gemini",
        "Sends two calls without an index.",
        [call(id="a")],
        [call(_SECOND, id="b")],
        expects=_BOTH,
    ),
    in_pieces(
        "index-none-one-id",
        "llama.cpp",
        "Sends two calls with one id and no index.",
        [call()],
        [call(_SECOND)],
        expects=_BOTH,
    ),
    in_pieces(
        "index-null", "mistral.rs", "Sends null as the index.", [call(_HEAD, index=None)], [rest(_TAIL, index=None)]
    ),
    in_pieces(
        "index-same",
        "Gemini behind proxies",
        "Gives two calls the index 0.",
        [call(index=0, id="a")],
        [call(_SECOND, index=0, id="b")],
        expects=_BOTH,
    ),
    in_pieces(
        "index-wrong-later",
        "DeepSeek behind gateways",
        "Begins the second call with the index 0, and continues it with 1.",
        [call(index=0, id="a")],
        [call("", index=0, id="b")],
        [rest(_HEAD, index=1)],
        [rest('"9*9"}', index=1)],
        expects=_BOTH,
    ),
    in_pieces("index-one", "several", "Counts from 1.", [call(_HEAD, index=1)], [rest(_TAIL, index=1)]),
    in_pieces(
        "index-text", "small servers", "Writes the index as a text.", [call(_HEAD, index="0")], [rest(_TAIL, index="0")]
    ),
    in_pieces(
        "index-backwards",
        "any",
        "Sends the second call first.",
        [call(_SECOND, index=1, id="b"), call(index=0)],
        expects=with_results("81", "42"),
    ),
    in_pieces(
        "id-empty", "Gemini", "Sends empty ids.", [call(index=0, id="")], [call(_SECOND, index=1, id="")], expects=_BOTH
    ),
    in_pieces(
        "id-same", "llama.cpp", "Gives both calls one id.", [call(index=0)], [call(_SECOND, index=1)], expects=_BOTH
    ),
    in_pieces(
        "id-none",
        "small servers",
        "Sends neither id nor type.",
        [
            rest('{"expression": "6*7"}', index=0)
            | {"function": {"name": "calculate", "arguments": '{"expression": "6*7"}'}}
        ],
    ),
    in_pieces(
        "id-number",
        "small servers",
        "Sends ids as numbers.",
        [call(index=0, id=1)],
        [call(_SECOND, index=1, id=2)],
        expects=_BOTH,
    ),
    in_pieces(
        "id-new",
        "small servers",
        "Gives every piece another id.",
        [call(_HEAD, index=0, id="x")],
        [rest(_TAIL, index=0, id="y")],
    ),
    in_pieces(
        "id-new-no-index",
        "small servers",
        "Gives every piece another id, and no index.",
        [call(_HEAD, id="x")],
        [rest(_TAIL, id="y")],
    ),
    in_pieces(
        "blank-later",
        "Qwen (DashScope), SiliconFlow",
        "Sends empty ids and names in later pieces.",
        [call(_HEAD, index=0)],
        [{"index": 0, "id": "", "type": "function", "function": {"name": "", "arguments": _TAIL}}],
    ),
    in_pieces(
        "null-later",
        "vLLM",
        "Sends null ids, types and names in later pieces.",
        [call(_HEAD, index=0)],
        [{"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": _TAIL}}],
    ),
    in_pieces(
        "repeated", "several", "Sends id and name with every piece.", [call(_HEAD, index=0)], [call(_TAIL, index=0)]
    ),
    in_pieces("reason-stop", "vLLM, LiteLLM", "Ends with the reason `stop`.", [call(index=0)], reason="stop"),
    in_pieces(
        "reason-tool-use",
        "gateways before Claude",
        "Ends with the reason `tool_use`.",
        [call(index=0)],
        reason="tool_use",
    ),
    Habit(
        "calls-after-text",
        "all",
        "Says something before the call.",
        calling(*text("Let me see. "), calls(call(index=0))),
        Expected(answer=None, results=("42",), max_calls=2),
    ),
    Habit(
        "calls-in-last-chunk",
        "Groq, vLLM",
        "Sends call, reason and tokens in one chunk.",
        Calling(stream({**with_choice(calls(call(index=0)), finish_reason="tool_calls"), "usage": USAGE}, DONE)),
        with_results("42", usage=TWICE),
    ),
    Habit(
        "calls-after-reason",
        "gateways",
        "Sends the call after the reason.",
        Calling(stream(chunk(reason="tool_calls"), calls(call(index=0)), used(), DONE)),
        _ONE,
    ),
    Habit(
        "calls-whole-json",
        "servers that ignore `stream`",
        "Sends a whole completion with a call.",
        Calling(Body(200, whole("tool_calls", content=None, tool_calls=[call()]))),
        _ONE,
    ),
)
