"""What the chunks of an answer look like."""

import json

from tests.model_servers.answers import Body, stream
from tests.model_servers.habit import Expected, Habit
from tests.model_servers.objects import (
    BEGINNING,
    DONE,
    ENVELOPE,
    PIECES,
    TEXT,
    USAGE,
    chunk,
    ending,
    text,
    used,
    whole,
    with_choice,
)

_SAFE = {"hate": {"filtered": False, "severity": "safe"}}
_AZURE = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [],
    "prompt_filter_results": [{"prompt_index": 0}],
}


def _content(*contents: object) -> list[dict[str, object]]:
    return [chunk({"content": content}) for content in contents]


HABITS = (
    Habit(
        "azure-first",
        "Azure OpenAI",
        "Begins with a chunk of filter results that has no choice, id or model.",
        stream(
            _AZURE,
            *(with_choice({**each, "obfuscation": "Qx71"}, content_filter_results=_SAFE) for each in text()),
            *ending(),
        ),
        Expected(usage=USAGE),
    ),
    Habit(
        "choices-null", "several", "Sends `choices` as null.", stream({**ENVELOPE, "choices": None}, *text(), *ending())
    ),
    Habit(
        "choice-null",
        "small servers",
        "Sends null as a choice.",
        stream({**ENVELOPE, "choices": [None]}, *text(), *ending()),
    ),
    Habit(
        "choices-object",
        "small servers",
        "Sends `choices` as an object.",
        stream({**ENVELOPE, "choices": {}}, *text(), *ending()),
    ),
    Habit(
        "delta-null",
        "several",
        "Sends choices whose delta is null or absent.",
        stream(
            {**ENVELOPE, "choices": [{"index": 0, "delta": None}]},
            {**ENVELOPE, "choices": [{"index": 0}]},
            *text(),
            *ending(),
        ),
    ),
    Habit(
        "nulls-everywhere",
        "vLLM, SGLang",
        "Sends every field that it does not use as null.",
        stream(
            chunk(
                {"role": "assistant", "content": "", "refusal": None, "tool_calls": None}, service_tier=None, usage=None
            ),
            *(
                chunk(
                    {
                        "role": None,
                        "content": piece,
                        "tool_calls": None,
                        "function_call": None,
                        "reasoning_content": None,
                    }
                )
                for piece in PIECES
            ),
            chunk({"content": None, "tool_calls": []}),
            *ending(),
        ),
        Expected(usage=USAGE, reasoning=""),
    ),
    Habit(
        "role-each-time",
        "Ollama, TGI",
        "Names the role in every chunk.",
        stream(*(chunk({"role": "assistant", "content": p}) for p in PIECES), *ending()),
    ),
    Habit(
        "parts",
        "Mistral",
        "Sends `content` as a list of parts.",
        stream(*_content(*([{"type": "text", "text": p}] for p in PIECES)), *ending()),
    ),
    Habit("parts-empty", "Mistral", "Sends `content` as an empty list.", stream(*_content([], *PIECES, []), *ending())),
    Habit(
        "parts-bare",
        "small servers",
        "Sends `content` as a list of texts.",
        stream(*_content(*([p] for p in PIECES)), *ending()),
    ),
    Habit(
        "parts-one",
        "small servers",
        "Sends `content` as one part.",
        stream(*_content(*({"type": "text", "text": p} for p in PIECES)), *ending()),
    ),
    Habit(
        "parts-references",
        "Mistral",
        "Sends references among the parts.",
        stream(*_content([{"type": "text", "text": TEXT}, {"type": "reference", "reference_ids": [1]}]), *ending()),
    ),
    Habit(
        "refusal",
        "OpenAI",
        "Sends a refusal instead of content.",
        stream(*(chunk({"refusal": piece}) for piece in ("I can't ", "help with that.")), *ending()),
        Expected(answer="I can't help with that."),
    ),
    Habit(
        "extras",
        "OpenAI, OpenRouter, Perplexity",
        "Sends log probabilities, annotations, citations and costs.",
        stream(
            *(
                with_choice(
                    chunk({"content": piece, "annotations": [{"type": "url_citation"}]}, provider="x", citations=["u"]),
                    logprobs={"content": [{"token": piece, "logprob": -0.1, "top_logprobs": []}]},
                    native_finish_reason=None,
                )
                for piece in PIECES
            ),
            *ending(),
        ),
    ),
    Habit(
        "two-choices",
        "any",
        "Sends a second answer, which was not asked for.",
        stream(
            *({**each, "choices": [{"index": 1, "delta": {"content": "no"}}, *each["choices"]]} for each in text()),
            *ending(),
        ),
    ),
    Habit(
        "choice-index-one",
        "LiteLLM 0.1",
        "Counts choices from 1.",
        stream(*(with_choice(each, index=1) for each in text()), with_choice(chunk(reason="stop"), index=1), DONE),
    ),
    Habit(
        "choice-index-text",
        "small servers",
        "Writes the index of a choice as a text.",
        stream(*(with_choice(each, index="0") for each in text()), *ending()),
    ),
    Habit(
        "choice-index-null",
        "small servers",
        "Writes the index of a choice as null.",
        stream(*(with_choice(each, index=None) for each in text()), *ending()),
    ),
    Habit(
        "choice-index-list",
        "nobody",
        "Writes the index of a choice as a list.",
        stream(*(with_choice(each, index=[0]) for each in text()), DONE),
    ),
    Habit(
        "message",
        "small servers",
        "Sends one chunk with `message` instead of `delta`.",
        stream(whole(), DONE),
        Expected(usage=USAGE),
    ),
    Habit(
        "message-as-well",
        "Perplexity",
        "Repeats the text as `message`, with each delta and once more at the end.",
        stream(
            *(with_choice(each, message={"role": "assistant", "content": BEGINNING}) for each in text()),
            with_choice(chunk(reason="stop"), message={"role": "assistant", "content": TEXT}),
            DONE,
        ),
    ),
    Habit(
        "text-field",
        "FastChat, legacy completions",
        "Sends `text` instead of `delta`.",
        stream({**ENVELOPE, "choices": [{"index": 0, "text": TEXT, "finish_reason": "stop"}]}, DONE),
    ),
    Habit(
        "envelope-odd",
        "gateways",
        "Sends id, time and model as other types.",
        stream(*({**each, "id": 7, "created": "now", "model": None} for each in text()), *ending()),
    ),
    Habit(
        "whole-json",
        "servers that ignore `stream`",
        "Sends a whole completion as JSON.",
        Body(200, whole()),
        Expected(usage=USAGE),
    ),
    Habit(
        "whole-json-lines",
        "servers that ignore `stream`",
        "Sends a whole completion as JSON over many lines, as an event stream.",
        Body(200, json.dumps(whole(), indent=2), content_type="text/event-stream"),
        Expected(usage=USAGE),
    ),
    Habit("usage-first", "gateways", "Sends a chunk of tokens before any text.", stream(used(), *text(), *ending())),
)
