"""How models show what they think before they answer."""

from collections.abc import Sequence

from tests.model_servers.answers import stream
from tests.model_servers.habit import Expected, Habit
from tests.model_servers.objects import PIECES, TEXT, chunk, ending, text
from tests.model_servers.server import Json
from turnlog.domain.values import MAX_REASONING_BYTES

_THOUGHTS = ("Greet ", "her.")
_THOUGHT = "".join(_THOUGHTS)
_LONG = "hm " * 3333


def _habit(name: str, by: str, does: str, *frames: Json, reasoning: str | None = _THOUGHT, answer: str = TEXT) -> Habit:
    """A server that thinks first. `frames` hold its thoughts."""
    return Habit(name, by, does, stream(*frames, *text(), *ending()), Expected(answer=answer, reasoning=reasoning))


def _field(name: str) -> list[Json]:
    return [chunk({"role": "assistant", "content": None, name: piece}) for piece in _THOUGHTS]


def _details(entries: Sequence[Json], **delta: str) -> Json:
    return chunk({"content": "", **delta, "reasoning_details": list(entries)})


def _detail(text: str, **fields: object) -> Json:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0, **fields}


HABITS = (
    _habit("thought-content", "DeepSeek, Qwen, older vLLM", "Sends `reasoning_content`.", *_field("reasoning_content")),
    _habit("thought-field", "OpenRouter, Groq, newer vLLM", "Sends `reasoning`.", *_field("reasoning")),
    _habit("thought-thinking", "Ollama", "Sends `thinking`.", *_field("thinking")),
    _habit(
        "thought-twice",
        "LiteLLM, OpenRouter",
        "Sends each thought in two fields.",
        *(chunk({"reasoning": piece, "reasoning_content": piece}) for piece in _THOUGHTS),
    ),
    _habit(
        "thought-object",
        "gateways",
        "Sends `reasoning` as an object.",
        *(chunk({"reasoning": {"content": p}}) for p in _THOUGHTS),
    ),
    _habit(
        "thought-list",
        "gateways",
        "Sends `reasoning` as a list of parts.",
        *(chunk({"reasoning": [{"text": p}]}) for p in _THOUGHTS),
    ),
    _habit(
        "thought-parts",
        "Mistral",
        "Sends thinking parts in `content`.",
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": _THOUGHT}]}]}),
    ),
    _habit(
        "thought-part-text",
        "gateways",
        "Sends a thinking part as a text.",
        chunk({"content": [{"type": "thinking", "thinking": _THOUGHT}]}),
    ),
    _habit(
        "thought-details",
        "OpenRouter",
        "Sends details beside the text of a thought.",
        *(_details([_detail(piece)], reasoning=piece) for piece in _THOUGHTS),
    ),
    _habit(
        "thought-details-alone",
        "OpenRouter",
        "Sends only details.",
        *(_details([_detail(piece)]) for piece in _THOUGHTS),
    ),
    _habit(
        "thought-summary",
        "OpenRouter before OpenAI",
        "Sends summaries as details.",
        *(_details([{"type": "reasoning.summary", "summary": piece, "index": 0}]) for piece in _THOUGHTS),
    ),
    _habit(
        "thought-encrypted",
        "OpenRouter before Gemini and OpenAI",
        "Sends an encrypted detail that nobody can read.",
        _details([{"type": "reasoning.encrypted", "data": "c2VjcmV0", "id": "rs_1", "format": "x", "index": 0}]),
        reasoning="",
    ),
    _habit(
        "thought-null",
        "vLLM",
        "Sends null thoughts.",
        chunk({"reasoning_content": None, "reasoning": None}),
        reasoning="",
    ),
    _habit(
        "thought-empty",
        "SGLang",
        "Sends empty thoughts.",
        chunk({"reasoning_content": "", "content": ""}),
        reasoning="",
    ),
    _habit(
        "thought-tags",
        "distilled models on Ollama, LM Studio",
        "Writes its thoughts into the text, between tags.",
        chunk({"content": "<think>hm</think>"}),
        reasoning="",
        answer="<think>hm</think>" + TEXT,
    ),
    Habit(
        "thought-between",
        "Claude behind gateways",
        "Thinks between two parts of its answer.",
        stream(*text(PIECES[0]), *_field("reasoning"), *text(*PIECES[1:]), *ending()),
        Expected(reasoning=_THOUGHT),
    ),
    Habit(
        "thought-only",
        "Kimi on vLLM",
        "Thinks, and then says nothing.",
        stream(*_field("reasoning_content"), *ending()),
        Expected(answer="", reasoning=_THOUGHT),
    ),
    Habit(
        "thought-long",
        "reasoning models",
        "Thinks 3 MB.",
        stream(*(chunk({"reasoning_content": _LONG}) for _ in range(300)), *text(), *ending()),
        Expected(reasoning=(_LONG * 60)[:MAX_REASONING_BYTES]),
    ),
)
