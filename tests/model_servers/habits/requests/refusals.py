"""What servers refuse of a request: fields that they do not know, and pictures."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.model_servers.answers import GO_ON, PLAIN, Body, refused
from tests.model_servers.habit import Expected, Habit, refused_at_once
from tests.model_servers.objects import error
from tests.model_servers.server import Exchange, Json, Request

_ESSENTIAL = {"model", "messages", "tools", "stream"}
_BOTH = ("stream_options", "tool_choice")
_PICTURE = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
]


def _unknown(name: str, by: str, fields: Sequence[str], refuse: Callable[[list[str]], Body]) -> Habit:
    """A server that does not know some fields. `refuse` says so of those that it was sent."""

    async def answer(exchange: Exchange) -> None:
        sent = [field for field in fields if field in exchange.request.body]
        await (refuse(sent) if sent else PLAIN)(exchange)

    does = f"Does not know {' and '.join(fields)}."
    return Habit(name, by, does, answer, Expected(max_calls=2), next_model=name, find_problem=_keeps_the_rest)


def _keeps_the_rest(requests: Sequence[Request]) -> str | None:
    missing = _ESSENTIAL - requests[-1].body.keys()
    return f"{missing} were left out as well" if missing else None


def _says(name: str, by: str, message: str, *fields: str, **more: Any) -> Habit:
    """A server that says in a sentence what it does not know. `NAMES` becomes the names of such fields."""
    return _unknown(
        name,
        by,
        fields or ("stream_options",),
        lambda sent: Body(400, error(message.replace("NAMES", ", ".join(sent)), **more)),
    )


def _details(sent: list[str]) -> Json:
    message = "Extra inputs are not permitted"
    return {"detail": [{"type": "extra_forbidden", "loc": ["body", each, "x"], "msg": message} for each in sent]}


def _gemini(sent: list[str]) -> Body:
    message = "\n".join(f'Invalid JSON payload received. Unknown name "{each}": Cannot find field.' for each in sent)
    return Body(400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])


def _pictures(name: str, by: str, message: str, status: int = 400) -> Habit:
    """A model that takes no pictures: their turn fails and says so, and the session's next one does not."""

    async def answer(exchange: Exchange) -> None:
        has_picture = "image_url" in str(exchange.request.messages)
        await (Body(status, error(message)) if has_picture else PLAIN)(exchange)

    code = "model_not_found" if status == 404 else "model_refused"
    says = f"The model does not take a picture, sound or file of this message. The model's server answered {status}: "
    says += message
    return Habit(name, by, "Takes no pictures.", answer, refused_at_once(code, says), _PICTURE, next_model=name)


async def _takes_pictures(exchange: Exchange) -> None:
    parts = next(each["content"] for each in exchange.request.messages if each["role"] == "user")
    await (PLAIN if parts == _PICTURE else refused("Where is the picture?"))(exchange)


async def _takes_no_tools(exchange: Exchange) -> None:
    is_fine = "tools" not in exchange.request.body or exchange.prompt == GO_ON
    await (PLAIN if is_fine else refused("this model does not support 'tools': tools are not supported"))(exchange)


HABITS = (
    _says("unknown-argument", "OpenAI", "Unrecognized request argument supplied: NAMES"),
    _says("unknown-arguments", "OpenAI", "Unrecognized request arguments supplied: NAMES", *_BOTH),
    _says(
        "unsupported-parameter",
        "OpenAI",
        "Unsupported parameter: 'NAMES' is not supported with this model. Use 'stop' instead.",
        "tool_choice",
        param="tool_choice",
        code="unsupported_parameter",
    ),
    _says("unknown-parameter", "Azure OpenAI", "No.", param="stream_options.include_usage", code="unknown_parameter"),
    _says("extraneous-key", "Bedrock gateways", "Malformed input request: #: extraneous key [NAMES] is not permitted"),
    _says("unknown-field", "Databricks", 'Bad request: json: unknown field "NAMES"'),
    _says("unexpected-keyword", "small servers", "create() got an unexpected keyword argument 'NAMES'"),
    _says("extra-inputs", "Fireworks", "Extra inputs are not permitted, field: 'NAMES', value: {}"),
    _says("extra-inputs-both", "vLLM", "2 validation errors: NAMES: Extra inputs are not permitted", *_BOTH),
    _unknown("unknown-name", "Gemini", _BOTH, _gemini),
    _unknown("extra-forbidden", "FastAPI", _BOTH, lambda sent: Body(422, _details(sent))),
    _unknown(
        "extra-forbidden-within",
        "Mistral until 2025, Cohere",
        ("stream_options",),
        lambda sent: Body(422, {"object": "error", "message": _details(sent), "type": "invalid_request_error"}),
    ),
    Habit(
        "one-at-a-time",
        "Groq",
        "Does not know two fields, and complains of one at a time.",
        _unknown("", "", _BOTH, lambda sent: Body(400, error(f"property '{sent[0]}' is unsupported"))).answer,
        Expected(max_calls=3),
        next_model="one-at-a-time",
        find_problem=_keeps_the_rest,
    ),
    Habit(
        "no-tools",
        "Ollama",
        "Takes no tools, which a request cannot do without.",
        _takes_no_tools,
        refused_at_once("model_refused", "does not support 'tools'"),
    ),
    Habit("pictures", "all", "Takes pictures.", _takes_pictures, content=_PICTURE, next_model="pictures"),
    _pictures("no-pictures", "vLLM", "a-model is not a multimodal model"),
    _pictures("no-pictures-variant", "DeepSeek", "messages[1]: unknown variant `image_url`, expected `text`"),
    _pictures("no-pictures-404", "OpenRouter", "No endpoints found that support image input", 404),
    _pictures("no-pictures-text", "Groq", "messages[1].content must be a string"),
)
