"""How long a conversation may be, and how servers say that it is too long."""

import json
from typing import Any

from tests.model_servers.answers import PLAIN, Body, refused, stream
from tests.model_servers.habit import Expected, Habit, refused_at_once
from tests.model_servers.objects import call, calls, ending, error
from tests.model_servers.server import Answer, Exchange, Json

_TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
_BYTES = 128_000 * 4
_ASK = stream(calls(call('{"question": "who?"}', "ask_user", index=0)), *ending("tool_calls"))
_OPENROUTER = {
    "error": {
        "message": "Provider returned error",
        "code": 400,
        "metadata": {"raw": '{"object": "error", "message": "Prompt is too long: 5000"}', "provider_name": "Mistral"},
    }
}
_VLLM = {"object": "error", "message": _TOO_LONG, "type": "BadRequestError", "param": None, "code": 400}


def _says(by: str, says: str, value: Any, status: int = 400) -> Habit:
    """A server that says in its own words that a conversation is too long, which here nothing makes shorter."""
    name = f"too-long-{by.partition(' ')[0].lower()}"
    does = "Says in its own words that a conversation is too long."
    return Habit(name, by, does, Body(status, value), refused_at_once("context_length_exceeded", says))


def _sentence(by: str, message: str, status: int = 400, **fields: Any) -> Habit:
    return _says(by, message, _error(message, **fields), status)


def _error(message: str, **fields: Any) -> Json:
    return {"error": {"message": message, **fields}}


def _window(first: Answer, max_bytes: int = _BYTES) -> Answer:
    """Refuse what is longer than the window. Answer a session's first calls with `first`, and all others plainly."""

    async def answer(exchange: Exchange) -> None:
        is_too_long = len(json.dumps(exchange.request.messages)) > max_bytes
        is_first = not exchange.entries_of_turn and exchange.number < 3
        await (refused(_TOO_LONG, "context_length_exceeded") if is_too_long else first if is_first else PLAIN)(exchange)

    return answer


def _calling_window(name: str, by: str, does: str, max_bytes: int) -> Habit:
    """A server whose window the results of tools exceed: shortened, they fit."""
    return Habit(name, by, does, _window(_ASK, max_bytes), Expected(max_calls=3), next_model=name)


HABITS = (
    _calling_window("window", "OpenAI, vLLM", "Takes 128,000 tokens.", _BYTES),
    _calling_window("window-small", "Ollama, llama.cpp", "Takes 64,000 tokens.", _BYTES // 2),
    Habit(
        "window-tiny",
        "small models",
        "Takes less than a message.",
        _window(PLAIN, 10),
        refused_at_once("context_length_exceeded", "maximum context length"),
    ),
    _says("OpenAI", "maximum context", error(_TOO_LONG, "context_length_exceeded")),
    _says("vLLM", "maximum context", _VLLM),
    _says("OpenRouter", "Prompt is too long", _OPENROUTER),
    _sentence(
        "llama.cpp", "the request exceeds the available context size", type="exceed_context_size_error", n_ctx=4096
    ),
    _sentence("Gemini", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    _sentence("xAI", "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    _sentence("Claude", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    _sentence("Moonshot", "Invalid request: Your request exceeded model token limit: 8192"),
    _sentence("DashScope", "Range of input length should be [1, 30720]"),
    _sentence(
        "Copilot", "prompt token count of 140000 exceeds the limit of 128000", code="model_max_prompt_tokens_exceeded"
    ),
    _sentence("Bedrock gateways", "Input is too long for requested model."),
    _sentence("Zhipu", "Prompt exceeds max length", code="1261"),
    _sentence("Cohere", "too many tokens: size limit exceeded by 100 tokens."),
    _sentence("Cerebras", "Please reduce the length of the messages or completion. Current length is 9000."),
    _sentence("TGI", "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", 422),
    _sentence("Groq", "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000.", 413),
)
