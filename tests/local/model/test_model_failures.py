"""The scripted model fails as its model's name says."""

import json
from typing import Any, cast

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.local.model.model_client import (
    ADD,
    USER,
    begin,
    finish_reason,
    offer,
    pieces,
    read,
    read_until_error,
    stats,
    user,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, openai.BadRequestError, None),
        (401, openai.AuthenticationError, "invalid_api_key"),
        (403, openai.PermissionDeniedError, None),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
        (503, openai.InternalServerError, "service_unavailable"),
    ],
)
async def test_fail_answers_with_its_status(
    model: AsyncOpenAI, status: int, error: type[openai.APIStatusError], code: str | None
) -> None:
    with pytest.raises(error) as raised:
        await begin(model, f"fail-{status}")

    assert raised.value.status_code == status
    assert raised.value.code == code
    assert raised.value.type in ("invalid_request_error", "server_error")
    assert ("retry-after" in raised.value.response.headers) == (status in (429, 503))


async def test_flaky_fails_as_often_as_it_says_and_then_answers(model: AsyncOpenAI) -> None:
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await begin(model, "flaky-2-here")

    assert len(pieces(await read(model, "flaky-2-here"))) == 20
    with pytest.raises(openai.InternalServerError):
        await begin(model, "flaky-2-there")


async def test_a_client_that_retries_gets_through_a_flaky_model(model: AsyncOpenAI) -> None:
    retrying = model.with_options(max_retries=2)

    assert len(pieces(await read(retrying, "flaky-2-retried"))) == 20


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("cut-3", openai.APIConnectionError),
        ("error-3", openai.APIError),
        ("garbage-3", json.JSONDecodeError),
    ],
)
async def test_a_stream_that_breaks_delivers_its_tokens_first(
    model: AsyncOpenAI, name: str, error: type[Exception]
) -> None:
    chunks, raised = await read_until_error(error, model, name)

    assert type(raised) is error
    assert len(pieces(chunks)) == 3
    assert finish_reason(chunks) is None


@pytest.mark.parametrize(
    ("name", "reason", "has_usage"),
    [
        ("end-3", None, False),
        ("length-3", "length", True),
        ("filter-3", "content_filter", True),
        ("nousage-3", "stop", False),
    ],
)
async def test_a_stream_can_end_in_other_ways(
    model: AsyncOpenAI, name: str, reason: str | None, has_usage: bool
) -> None:
    chunks = await read(model, name)

    assert len(pieces(chunks)) == 3
    assert finish_reason(chunks) == reason
    assert any(chunk.usage for chunk in chunks) == has_usage


async def test_only_a_stream_can_break_midway(model: AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError):
        await model.chat.completions.create(model="cut-3", messages=cast("Any", [USER]))


async def test_hang_sends_its_tokens_and_then_nothing(model: AsyncOpenAI) -> None:
    chunks, _ = await read_until_error(openai.APITimeoutError, model, "hang-3", timeout=1)

    assert len(pieces(chunks)) == 3


async def test_mute_sends_no_headers_before_its_time(model: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    with pytest.raises(openai.APITimeoutError):
        await begin(model, "mute-60", timeout=0.2)

    assert (await stats(http))["models"]["mute-60"]["started"] == 0
    assert len(pieces(await read(model, "mute-0"))) == 20


async def test_a_stream_can_break_inside_a_tool_call(model: AsyncOpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        await read(model, "cut-2", user('call add {"a": 1, "b": 1}'), tools=offer(ADD))


async def test_an_unknown_model_is_not_found(model: AsyncOpenAI) -> None:
    for name in ("gpt-5", "fake-5", "fake-x-0", "fail-200", "cut-3-3", "flaky-1", ""):
        with pytest.raises(openai.NotFoundError) as raised:
            await begin(model, name)

        assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
