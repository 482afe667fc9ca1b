"""What servers count, and where they put it."""

from typing import Any

from tests.model_servers.answers import stream
from tests.model_servers.habit import Expected, Habit
from tests.model_servers.objects import DONE, ENVELOPE, PIECES, USAGE, chunk, ending, text, used, with_choice
from tests.model_servers.server import Json

_CACHED = {**USAGE, "cached_tokens": 4}
_LARGE = {"prompt_tokens": 3_000_000_000, "completion_tokens": 1, "total_tokens": 3_000_000_001}


def _counted(name: str, by: str, does: str, usage: Any, expected: Json) -> Habit:
    """A server that counts as others do, in its own words."""
    return Habit(name, by, does, stream(*text(), *ending(usage=usage)), Expected(usage=expected))


def _placed(name: str, by: str, does: str, *frames: Any) -> Habit:
    """A server that puts its counts elsewhere."""
    return Habit(name, by, does, stream(*frames), Expected(usage=USAGE))


def _growing() -> list[Json]:
    counts = [{"prompt_tokens": 11, "completion_tokens": number, "total_tokens": 11 + number} for number in range(5)]
    return [chunk({"content": piece}, usage=usage) for piece, usage in zip(PIECES, counts, strict=True)]


HABITS = (
    _placed("usage-every-chunk", "vLLM, Perplexity, xAI", "Counts in every chunk.", *_growing(), *ending()),
    _placed(
        "usage-zero-first",
        "Kimi, DeepSeek",
        "Sends zeros until the last chunk.",
        *(chunk({"content": piece}, usage=dict.fromkeys(USAGE, 0)) for piece in PIECES),
        *ending(),
    ),
    _placed(
        "usage-zero-last",
        "LiteLLM",
        "Sends zeros once more, behind the true counts.",
        *text(),
        *ending()[:-1],
        used(dict.fromkeys(USAGE, 0)),
        DONE,
    ),
    _placed("usage-before-reason", "several", "Counts before the reason.", *text(), used(), chunk(reason="stop"), DONE),
    _placed(
        "usage-with-reason",
        "Groq, Together",
        "Counts with the reason.",
        *text(),
        chunk(reason="stop", usage=USAGE),
        DONE,
    ),
    _placed(
        "usage-with-role",
        "gateways",
        "Counts in a chunk that also has a role and an empty text.",
        *text(),
        chunk({"role": "assistant", "content": None}, "stop", usage=USAGE),
        DONE,
    ),
    _placed(
        "usage-after-empty",
        "Azure OpenAI",
        "Counts in a second chunk without choices.",
        *text(),
        chunk(reason="stop"),
        {**ENVELOPE, "choices": []},
        used(),
        DONE,
    ),
    _placed(
        "usage-with-empty-delta",
        "MLX servers",
        "Counts in a chunk that has a choice without content.",
        *text(),
        chunk(reason="stop"),
        {**ENVELOPE, "choices": [{"index": 0, "delta": {}}], "usage": USAGE},
        DONE,
    ),
    _placed(
        "usage-without-choices",
        "gateways",
        "Counts in an object that has no choices at all.",
        *text(),
        chunk(reason="stop"),
        {"usage": USAGE},
        DONE,
    ),
    _placed(
        "usage-in-choice",
        "Moonshot",
        "Counts inside the last choice.",
        *text(),
        with_choice(chunk(reason="stop"), usage=USAGE),
        DONE,
    ),
    _placed(
        "usage-x-groq",
        "Groq",
        "Counts in its own field.",
        chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
        *text(),
        chunk(reason="stop", x_groq={"id": "req_1", "usage": {**USAGE, "total_time": 0.1}}),
        DONE,
    ),
    Habit(
        "usage-null",
        "several",
        "Never counts.",
        stream(*(chunk({"content": piece}, usage=None) for piece in PIECES), chunk(reason="stop", usage=None), DONE),
        Expected(usage={}),
    ),
    _counted("usage-empty", "gateways", "Sends an empty object.", {}, {}),
    _counted("usage-text", "gateways", "Sends a text instead of the counts.", "n/a", {}),
    _counted(
        "usage-odd",
        "gateways",
        "Counts in fractions, in texts and below zero.",
        {"prompt_tokens": 11.5, "completion_tokens": "7", "total_tokens": -1},
        USAGE,
    ),
    _counted(
        "usage-other-names",
        "gateways before Claude",
        "Counts input and output.",
        {"input_tokens": 11, "output_tokens": 7},
        USAGE,
    ),
    _counted(
        "usage-details",
        "OpenAI",
        "Counts cached and reasoning tokens.",
        {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 5}},
        {**_CACHED, "reasoning_tokens": 5},
    ),
    _counted(
        "usage-details-null",
        "vLLM",
        "Sends null details.",
        {**USAGE, "prompt_tokens_details": None, "completion_tokens_details": None},
        USAGE,
    ),
    _counted(
        "usage-cache-hits", "DeepSeek", "Counts hits of its cache.", {**USAGE, "prompt_cache_hit_tokens": 4}, _CACHED
    ),
    _counted(
        "usage-cached", "Moonshot", "Counts cached tokens beside the others.", {**USAGE, "cached_tokens": 4}, _CACHED
    ),
    _counted("usage-large", "any", "Counts more than 32 bits hold.", _LARGE, _LARGE),
    _counted(
        "usage-costs",
        "OpenRouter, xAI",
        "Adds costs and times.",
        {**USAGE, "cost": 0.01, "is_byok": False, "num_sources_used": 0},
        USAGE,
    ),
)
