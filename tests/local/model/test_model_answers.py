"""The answers of the scripted model: their words, streamed and in one piece."""

from typing import Any, cast

import anyio
import httpx2
import pytest
from openai import AsyncOpenAI

from tests.local.model.model_client import USER, begin, pieces, read, read_text, user

pytestmark = pytest.mark.anyio


async def test_an_answer_streams_as_openai_streams_it(model: AsyncOpenAI) -> None:
    chunks = await read(model, "fake-50-0")

    first, *middle, last, usage = chunks
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert len(middle) == 50
    assert all(chunk.choices[0].finish_reason is None and chunk.usage is None for chunk in [first, *middle])
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("stop", None)
    assert usage.choices == []
    assert usage.usage is not None
    assert (usage.usage.prompt_tokens, usage.usage.completion_tokens, usage.usage.total_tokens) == (4, 50, 54)
    assert {(chunk.id, chunk.object, chunk.model) for chunk in chunks} == {
        (first.id, "chat.completion.chunk", "fake-50-0")
    }
    assert all(chunk.created and chunk.system_fingerprint for chunk in chunks)


async def test_the_stream_ends_with_done_and_has_usage_only_on_request(http: httpx2.AsyncClient) -> None:
    body = {"model": "fake-2-0", "messages": [USER], "stream": True}

    response = await http.post("/v1/chat/completions", json=body)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")
    assert "usage" not in response.text


async def test_an_answer_in_one_piece_is_the_streamed_one(model: AsyncOpenAI) -> None:
    whole = await model.chat.completions.create(model="fake-40-0", messages=cast("Any", [USER]))

    assert whole.object == "chat.completion"
    assert whole.choices[0].message.content == await read_text(model, "fake-40-0")
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 40


async def test_the_answer_quotes_the_message_and_counts_the_conversation(model: AsyncOpenAI) -> None:
    asked = "Please explain " + "at great length " * 20
    before = [{"role": "system", "content": "Be brief."}, user("Hi"), {"role": "assistant", "content": "Hello"}]

    answer = await read_text(model, "fake-60-0", *before, user(asked))

    assert answer.startswith("Scripted model here, in place of a real one.")
    assert "You said “Please explain at great length" in answer
    assert "…”" in answer
    assert "I was given 3 messages of this conversation." in answer


async def test_the_answer_is_deterministic_readable_and_varied(model: AsyncOpenAI) -> None:
    chunks = await read(model, "fake-200-0")

    answer = "".join(pieces(chunks))
    assert answer == await read_text(model, "fake-200-0")
    assert all(piece.strip() and piece.endswith(" ") for piece in pieces(chunks)[:-1])
    sentences = answer.split(". ")
    assert len(set(sentences)) == len(sentences)
    assert answer != await read_text(model, "fake-200-0", user("Something else"))


async def test_text_in_parts_and_other_alphabets_are_understood(model: AsyncOpenAI) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "Grüße 👋"}, {"type": "text", "text": "an alle"}]}

    assert "“Grüße 👋 an alle”" in await read_text(model, "fake-40-0", parts)


async def test_requests_are_answered_at_the_same_time(model: AsyncOpenAI) -> None:
    answers: list[int] = []

    async def collect() -> None:
        answers.append(len(pieces(await read(model, "fake-30-1"))))

    silent = await begin(model, "hang-1")
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(collect)

    await silent.close()
    assert answers == [30] * 20
