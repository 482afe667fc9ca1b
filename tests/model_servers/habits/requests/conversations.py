"""What servers demand of the conversation that they are sent."""

from collections.abc import Sequence

from tests.model_servers import demands
from tests.model_servers.answers import GO_ON, Calling, Demanding, answered, calling, refused, stream
from tests.model_servers.demands import Demand, Messages, of_each_call, of_each_message
from tests.model_servers.habit import Expected, Habit, refused_at_once, with_results
from tests.model_servers.objects import call, calls, chunk, ending
from tests.model_servers.server import Answer, Exchange, Json

_SIGNATURE = {"google": {"thought_signature": "c2ln"}}
_LONG_ID = "call_1__thought__" + "c2ln" * 200
_KIMI_ID = "functions.calculate:0"
_SECOND = '{"expression": "9*9"}'
_DETAILS: tuple[Json, ...] = (
    {"type": "reasoning.text", "text": "I must calculate.", "index": 0},
    {"type": "reasoning.encrypted", "data": "c2VjcmV0", "id": "tool_1", "index": 0},
)
_ONE = with_results("42")
_NO_RESULT = Expected(answer=None, max_calls=2)
_CALL = calls(call(index=0))


def _demands(
    name: str, by: str, does: str, demand: Demand, *, frames: Sequence[Json] = (_CALL,), expects: Expected = _ONE
) -> Habit:
    """A server that refuses what does not meet a demand, in both turns. It calls tools first, with `frames`."""
    answer = Demanding(demand, stream(*frames, *ending("tool_calls")))
    return Habit(name, by, does, answer, expects, next_model=name)


def _then(demanding: str, by: str, does: str, *frames: Json) -> Habit:
    """A server that calls a tool, and is followed in the session by another one, which has a demand."""
    return Habit(f"{demanding}-later", by, does, calling(*frames), _ONE, next_model=demanding)


def _signature(each: Json) -> str | None:
    return None if each.get("extra_content") == _SIGNATURE else "Function call is missing a thought_signature."


def _own_id(expected: str) -> Demand:
    return of_each_call(lambda each: None if each["id"] == expected else f"Unknown tool call id {each['id']!r}.")


def _reasoning(message: Json) -> str | None:
    if "tool_calls" not in message or message.get("reasoning_content") == "I must calculate.":
        return None
    return "The reasoning_content in the thinking mode must be passed back to the API."


def _details(messages: Messages) -> str | None:
    for message in messages:
        if "tool_calls" in message:
            if message.get("reasoning_details") != list(_DETAILS):
                return "Gemini models require OpenRouter reasoning details to be preserved in each request."
            if message["tool_calls"][0]["id"] != _DETAILS[1]["id"]:
                return "Thought signature is not valid."
    return None


async def _fails_first(exchange: Exchange) -> None:
    """Refuse the first turn for another reason, and all that does not alternate."""
    problem = demands.alternating(exchange.request.messages)
    is_fine = problem is None and exchange.prompt == GO_ON
    await (answered("Well.") if is_fine else refused(problem or "Something else was wrong."))(exchange)


async def _fails_after_tool(exchange: Exchange) -> None:
    """As above, after a tool call."""
    is_first_call = not exchange.entries_of_turn and exchange.prompt != GO_ON
    await (stream(_CALL, *ending("tool_calls")) if is_first_call else _fails_first)(exchange)


async def _repeats_id(exchange: Exchange) -> None:
    """Give calls of two steps one id, and refuse a history in which they have one."""
    first, second = (
        stream(calls(call(arguments, index=0, id="calculate:0")), *ending("tool_calls"))
        for arguments in ('{"expression": "6*7"}', _SECOND)
    )
    problem = demands.different_ids(exchange.request.messages)
    answer = Calling(first) if len(exchange.results) != 1 else second
    await (answer if problem is None else refused(problem))(exchange)


def _refuses_own_fields(by: str, message: str) -> Habit:
    """A server that sends fields with a call, and refuses to take them back. `message` names one of them."""

    def demand(messages: Messages) -> str | None:
        unknown = [name for name in ("provider_fields", "reasoning") if any(name in each for each in messages)]
        return "; ".join(message.replace("NAME", name) for name in unknown) or None

    name = f"own-fields-refused-{by.lower()}"
    frames = (chunk({"reasoning": "hm", "provider_fields": {"a": 1}}), _CALL)
    expects = with_results("42", max_calls=4)
    return _demands(name, by, "Refuses the fields that it sent itself.", demand, frames=frames, expects=expects)


def _answer_in_turn(name: str, by: str, does: str, answer: Answer, expects: Expected) -> Habit:
    return Habit(name, by, does, answer, expects, next_model=name)


HABITS = (
    _demands(
        "ids-of-nine",
        "Mistral, vLLM with its tokenizer",
        "Takes ids of 9 letters or digits.",
        demands.ids_of_nine,
        frames=[calls(call(index=0, id="D681PevKs"))],
    ),
    _then("ids-of-nine", "any, then Mistral", "Calls tools by long ids.", calls(call(index=0, id=_LONG_ID))),
    _demands(
        "ids-plain",
        "Claude behind gateways",
        "Takes ids of letters, digits, `_` and `-`.",
        demands.plain_ids,
    ),
    _then("ids-plain", "Kimi, then Claude", "Calls tools by ids with dots.", calls(call(index=0, id=_KIMI_ID))),
    _demands(
        "ids-of-kimi",
        "Kimi K2 on vLLM",
        "Reads the tool's name out of the id.",
        _own_id(_KIMI_ID),
        frames=[calls(call(index=0, id=_KIMI_ID))],
    ),
    _demands(
        "ids-with-signature",
        "LiteLLM before Gemini",
        "Puts a signature into the id.",
        _own_id(_LONG_ID),
        frames=[calls(call(index=0, id=_LONG_ID))],
    ),
    _answer_in_turn(
        "ids-again",
        "Kimi K3, with Claude's rules",
        "Gives calls of two steps one id.",
        _repeats_id,
        with_results("42", "81", max_calls=3),
    ),
    _demands(
        "signature",
        "Gemini 3",
        "Wants a call's signature back.",
        of_each_call(_signature),
        frames=[calls(call(id="function-call-1", extra_content=_SIGNATURE))],
    ),
    _demands(
        "details",
        "OpenRouter before Gemini",
        "Wants details back, with the id that they name.",
        _details,
        frames=[*(chunk({"reasoning_details": [each]}) for each in _DETAILS), calls(call(index=0, id="tool_1"))],
    ),
    _demands(
        "reasoning-back",
        "DeepSeek, Kimi",
        "Wants the reasoning back that led to a call.",
        of_each_message(_reasoning),
        frames=[chunk({"reasoning_content": "I must "}), chunk({"reasoning_content": "calculate."}), _CALL],
    ),
    _demands(
        "reasoning-everywhere",
        "DeepSeek V4",
        "Wants reasoning with every message of the assistant.",
        demands.reasoning_everywhere,
        expects=with_results("42", max_calls=3),
    ),
    _then("reasoning-everywhere", "any, then DeepSeek V4", "Calls tools without reasoning.", _CALL),
    _demands("own-fields", "Mistral, Groq", "Takes no field that is not OpenAI's.", demands.own_fields),
    _then(
        "own-fields",
        "Gemini, then Mistral",
        "Sends its own fields with a call.",
        chunk({"reasoning_content": "hm"}),
        calls(call(id="a", extra_content=_SIGNATURE)),
    ),
    _refuses_own_fields("Fireworks", "Extra inputs are not permitted, field: 'messages[2].NAME'"),
    _refuses_own_fields(
        "Groq", "'messages.2' : for 'role:assistant' [('messages.2' : property 'NAME' is unsupported)]"
    ),
    _refuses_own_fields("Cerebras", "messages.2.assistant.NAME: property 'messages.2.assistant.NAME' is unsupported"),
    _demands("some-text", "Bedrock gateways, Claude", "Takes no empty text.", demands.some_text),
    _then("some-text", "any, then Bedrock", "Says only white space before a call.", chunk({"content": " \n"}), _CALL),
    *(
        _demands(
            f"object-arguments-{kind}",
            "vLLM, SGLang, DashScope",
            "Takes only JSON objects as arguments.",
            demands.object_arguments,
            frames=[calls(call(arguments, index=0))],
            expects=_NO_RESULT,
        )
        for kind, arguments in (
            ("cut", '{"expression": "6*'),
            ("list", '["6*7"]'),
            ("half", '{"expression": "\\ud83d"}'),
        )
    ),
    *(
        _demands(
            f"plain-names-{kind}",
            "OpenAI, Gemini",
            "Takes only plain names of tools.",
            demands.plain_names,
            frames=[calls(call("{}", name, index=0))],
            expects=_NO_RESULT,
        )
        for kind, name in (("dot", "multi_tool_use.parallel"), ("empty", ""), ("long", "x" * 100))
    ),
    _demands(
        "answered-at-once",
        "OpenAI",
        "Wants every call answered at once.",
        demands.answered_at_once,
        frames=[calls(call(index=0), call(_SECOND, index=1))],
        expects=with_results("42", "81"),
    ),
    _demands("alternating", "Mistral, Gemma, Llama", "Wants user and assistant in turns.", demands.alternating),
    _answer_in_turn(
        "alternating-after-failure",
        "Mistral, Gemma",
        "Wants that also after a failed turn.",
        _fails_first,
        refused_at_once("model_refused", "Something else"),
    ),
    _answer_in_turn(
        "alternating-after-tool",
        "Mistral",
        "Wants that also after a turn that failed behind a tool.",
        _fails_after_tool,
        Expected("failed", None, "model_refused", max_calls=2),
    ),
)
