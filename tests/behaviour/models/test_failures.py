"""A server's failure becomes a code to act on, a sentence without secrets, and whether to call again, and when."""

import json
import time
from email.utils import formatdate
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import json_values, unhurried
from turnlog.domain.errors import ModelError
from turnlog.models.complaints import is_complaint, read_complaint, seconds_in
from turnlog.models.failures import MAX_DELAY_SECONDS, failure_in, failure_of

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def refusal(status: int, body: Any = "", **headers: str) -> ModelError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, str) else json.dumps(body)
    response = httpx2.Response(status, headers=named, content=content.encode(), request=REQUEST)
    return failure_of(openai.APIStatusError("no", response=response, body=None))


def connection_error(cause: Exception | None) -> openai.APIConnectionError:
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (openai.APITimeoutError(request=REQUEST), "model_timeout", True),
        (httpx2.ReadTimeout("silent"), "model_timeout", True),
        (connection_error(None), "model_unreachable", True),
        (connection_error(httpx2.ConnectError("refused")), "model_unreachable", True),
        (connection_error(httpx2.ReadError("reset")), "model_broke_off", True),
        (connection_error(httpx2.RemoteProtocolError("closed")), "model_broke_off", True),
        (httpx2.ReadError("reset"), "model_broke_off", True),
        (httpx2.RemoteProtocolError("incomplete"), "model_broke_off", True),
        (httpx2.DecodingError("not gzip"), "model_broke_off", True),
        (RecursionError(), "model_broke_off", True),
        (openai.OpenAIError("no key"), "model_unauthorized", False),
        (openai.APIError("busy", REQUEST, body={"message": "busy"}), "model_error", True),
    ],
)
def test_what_goes_wrong_has_a_code(error: Exception, code: str, transient: bool) -> None:
    failure = failure_of(error)

    assert (failure.failure_code, failure.transient) == (code, transient)


@pytest.mark.parametrize("status", range(400, 600))
def test_every_status_is_understood(status: int) -> None:
    failure = refusal(status, {"error": {"message": "no"}})

    assert str(failure) == f"The model's server answered {status}: no"
    assert failure.transient or status < 500


def test_a_refusal_without_words_names_its_status() -> None:
    assert str(refusal(503)) == "The model's server answered 503."


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("no", "no"),
        ({"error": "no"}, "no"),
        ({"error": {"message": "no"}}, "no"),
        ({"message": {"detail": [{"msg": "no"}, {"msg": "never"}]}}, "no; never"),
        ([{"error": {"message": "no"}}], "no"),
        ({"error": {"message": '{"error": {"message": "no"}}'}}, "no"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": '{"detail": "no"}'}}}, "no"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "no"}}}, "no"),
        ({"error": {"message": "Provider returned error", "metadata": {}}}, "Provider returned error"),
        ({"error": {"message": "{no"}}, "{no"),
        ("<html><style>p {}</style><p>no</p>\n<p>never</p></html>", "no never"),
        ({"success": False, "errors": [{"code": 1, "message": "no"}], "messages": []}, "no"),
        ({"a": {"b": "c"}}, ""),
        (None, ""),
    ],
)
def test_the_sentence_for_people_is_found_wherever_it_is(value: Any, sentence: str) -> None:
    assert read_complaint(value).text == sentence


@unhurried
@given(
    json_values("error", "message", "code", "detail", "metadata", "raw", "retryDelay"),
    st.sampled_from([400, 422, 429, 500]),
)
def test_no_error_of_any_form_is_too_much(value: Any, status: int) -> None:
    assert failure_in(value, "model_error").failure_code
    assert refusal(status, value).failure_code


@pytest.mark.parametrize(
    ("value", "code", "transient"),
    [
        ({"error": {"message": "no", "code": 429}}, "model_rate_limited", True),
        ({"error": {"message": "no", "code": "402"}}, "insufficient_quota", False),
        ({"error": {"message": "no", "code": 404}}, "model_not_found", False),
        ({"error": {"message": "no", "code": 503}}, "model_error", True),
        ({"error": {"message": "no", "type": "overloaded_error"}}, "model_unavailable", True),
        ({"error": {"message": "no", "type": "authentication_error"}}, "model_unauthorized", False),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, "model_refused", False),
        (
            {"error": {"message": "no", "type": "invalid_request_error", "code": "tool_use_failed"}},
            "model_refused",
            True,
        ),
        ({"error": {"message": "no", "code": "context_length_exceeded"}}, "context_length_exceeded", False),
        ({"error": {"message": "no"}}, "model_error", True),
        ("no", "model_error", True),
    ],
)
def test_an_error_in_a_stream_is_read_as_one_with_a_status(value: Any, code: str, transient: bool) -> None:
    failure = failure_in(value, "model_error")

    assert (failure.failure_code, failure.transient) == (code, transient)


def test_the_server_may_say_itself_whether_to_call_again() -> None:
    assert not refusal(503, x_should_retry="false").transient
    assert refusal(400, x_should_retry="true").transient
    assert refusal(503, x_should_retry="maybe").transient


@pytest.mark.parametrize("message", ["You exceeded your current quota, please check your plan.", "Check your billing."])
def test_words_about_money_mean_a_rate_limit_where_the_server_says_when_to_call_again(message: str) -> None:
    value = {"error": {"message": message}}

    assert refusal(429, value).failure_code == "insufficient_quota"
    assert refusal(429, value, retry_after="3").failure_code == "model_rate_limited"
    assert refusal(429, {"error": {"message": message, "retryDelay": "3s"}}).failure_code == "model_rate_limited"
    assert (
        refusal(429, {"error": {"message": message, "code": "insufficient_quota"}}, retry_after="3").transient is False
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": " 7 "}, 7.0),
        ({"retry_after": "7s"}, 7.0),
        ({"retry_after": "1m30s"}, 90.0),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
        ({"retry_after_ms": "soon", "retry_after": "7"}, 7.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "-7"}, 0.0),
        ({"retry_after": "1e999"}, MAX_DELAY_SECONDS),
        ({"retry_after": "99999999"}, MAX_DELAY_SECONDS),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": ""}, None),
        ({}, None),
    ],
)
def test_the_delay_in_a_header_is_read_as_servers_write_it(headers: dict[str, str], seconds: float | None) -> None:
    assert refusal(429, **headers).retry_after == seconds


def test_a_delay_may_be_a_date() -> None:
    moment = time.time() + 100

    delay = refusal(429, retry_after=formatdate(moment, usegmt=True)).retry_after

    assert delay is not None
    assert 90 < delay <= 100


@pytest.mark.parametrize(
    ("sentence", "seconds"),
    [
        ("Please try again in 20s.", 20.0),
        ("Please try again in 1m30.5s. Visit our page.", 90.5),
        ("Please try again in 2h9m21.6s.", 7761.6),
        ("Please retry in 33.507s.", 33.507),
        ("Please retry after 6 seconds.", 6.0),
        ("Try again in 250ms", 0.25),
        ("Wait 2 minutes 30 seconds", 150.0),
        ("retry after 5000 milliseconds", 5.0),
        ("Please wait before trying again.", None),
        ("There are 7 seconds left.", None),
        ("", None),
    ],
)
def test_the_delay_in_a_sentence_is_read(sentence: str, seconds: float | None) -> None:
    assert read_complaint(sentence).delay == pytest.approx(seconds)


@unhurried
@given(st.text("0123456789.hmsin ", max_size=12))
def test_no_duration_is_too_odd(duration: str) -> None:
    assert seconds_in(duration) is None or seconds_in(duration) is not None


@pytest.mark.parametrize(
    "chunk", [{"choices": []}, {"usage": {}}, {}, {"type": "ping", "message": "hi"}, {"error": None}]
)
def test_a_chunk_is_no_complaint(chunk: dict[str, Any]) -> None:
    assert not is_complaint(chunk)
