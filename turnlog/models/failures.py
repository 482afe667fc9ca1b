"""Translates what goes wrong between the app and a model's server: a code, a sentence, and whether to try again.

The sentences quote the server. They are redacted where they leave this package (`redaction`).
"""

import email.utils
import json
import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2
import openai

from turnlog.domain.errors import ModelError
from turnlog.models.complaints import Complaint, read_complaint, seconds_in

MAX_DELAY_SECONDS = 24 * 3600.0
"""A server that asks to wait longer is understood to ask for this."""

READING_ERRORS = (httpx2.HTTPError, httpx2.StreamError, RecursionError)
"""What the HTTP client raises while an answer is read."""

CALLING_ERRORS = (openai.OpenAIError, httpx2.InvalidURL, *READING_ERRORS)

_CODES = {
    400: "model_refused",
    401: "model_unauthorized",
    402: "insufficient_quota",
    403: "model_unauthorized",
    404: "model_not_found",
    408: "model_timeout",
    409: "model_unavailable",
    410: "model_not_found",
    413: "model_refused",
    422: "model_refused",
    424: "model_unavailable",
    425: "model_unavailable",
    429: "model_rate_limited",
    498: "model_unavailable",
    499: "model_unavailable",
}


def _patterns(**patterns: str) -> Mapping[str, re.Pattern[str]]:
    return {name: re.compile(pattern, re.IGNORECASE) for name, pattern in patterns.items()}


# What a server's codes and sentences mean, whatever its status is.
_MEANINGS = _patterns(
    content_filter=r"content_filter|content_policy|responsibleai|data_?inspection_?failed|content management policy"
    r"|considered high risk|inappropriate content",
    context_length_exceeded=r"context_length_exceeded|exceed_context_size|contextwindowexceeded"
    r"|context (?:size|window|length|limit)|(?:prompt|input) is too long|maximum prompt length|prompt exceeds max"
    r"|input token count|input length should be|exceeded model token limit|prompt token count"
    r"|too many (?:input )?tokens(?!, please wait| per)|max_prompt_tokens_exceeded|max_new_tokens` must be"
    r"|reduce the length of the messages|reduce your message size|request too large for",
    insufficient_quota=r"insufficient[_ ](?:quota|balance|credit|fund)|exceeded_current_quota|arrearage"
    r"|payment required",
)
# A quota that is used up, unless the server says when to try again: then it is a rate limit.
_QUOTA_MEANINGS = _patterns(
    insufficient_quota=r"exceeded your current quota|billing|spending limit|used all available credits"
    r"|credit balance is too low"
)
# The codes of errors inside a stream, where there is no status.
_CODES_IN_STREAMS = _patterns(
    model_rate_limited=r"rate_?limit|throttl|resource_?exhausted|too_?many_?requests",
    model_unavailable=r"overloaded|unavailable",
    model_unauthorized=r"invalid_api_key|authentication_error|permission_(?:error|denied)|unauthorized",
    model_not_found=r"model_not_found|not_found_error",
    model_refused=r"invalid_request|bad_?request",
)
# Refusals of what the model wrote, which it writes differently when it is called again.
_BAD_OUTPUT = _patterns(bad_luck=r"tool_use_failed|json_validate_failed|output_parse_failed")
_FINAL = frozenset({"model_refused", "model_unauthorized", "model_not_found", "insufficient_quota", *_MEANINGS})


class RefusedError(ModelError):
    """The server answered with the status of an error. `complaint` is what it said."""

    def __init__(
        self, code: str, detail: str, complaint: Complaint, *, transient: bool, retry_after: float | None
    ) -> None:
        super().__init__(code, detail, transient=transient, retry_after=retry_after)
        self.complaint = complaint


def failure_of(error: Exception) -> ModelError:
    """Translate one of CALLING_ERRORS."""
    match error:
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return ModelError("model_timeout", "The model's server was silent for too long.", transient=True)
        case openai.APIStatusError(response=response):
            return _refusal(response)
        case openai.APIConnectionError() if not _had_connected(error.__cause__):
            return ModelError("model_unreachable", "The model's server can't be reached.", transient=True)
        case openai.APIConnectionError() | httpx2.TransportError():
            return ModelError("model_broke_off", "The connection to the model's server broke off.", transient=True)
        case openai.APIError():
            return failure_in(error.body or error.message, "model_error")
        case openai.OpenAIError():
            return ModelError("model_unauthorized", f"The model can't be called: {error}", transient=False)
        case _:
            return ModelError("model_broke_off", "The model's answer could not be read.", transient=True)


def failure_in(value: Any, code: str) -> ModelError:
    """Translate an error that a server put into an answer: an object in any form, or a text."""
    complaint = read_complaint(value)
    named = (
        _CODES.get(complaint.status, code)
        if complaint.status
        else _first_match(_CODES_IN_STREAMS, complaint.words) or code
    )
    meaning = _meaning_of(complaint, complaint.delay)
    return ModelError(
        meaning or named,
        f"The model's server reports: {complaint.text}" if complaint.text else "The model's server reports an error.",
        transient=_is_transient(meaning or named, complaint),
        retry_after=_bounded(complaint.delay),
    )


def _refusal(response: httpx2.Response) -> RefusedError:
    status, headers = response.status_code, response.headers
    complaint = read_complaint(_body_of(response))
    delay = _delay_in(headers)
    delay = complaint.delay if delay is None else delay
    code = _meaning_of(complaint, delay) or _CODES.get(
        status, "model_unavailable" if status >= 500 else "model_refused"
    )
    advice = headers.get("x-should-retry")
    return RefusedError(
        code,
        f"The model's server answered {status}" + (f": {complaint.text}" if complaint.text else "."),
        complaint,
        transient=advice == "true" if advice in {"true", "false"} else _is_transient(code, complaint),
        retry_after=_bounded(delay),
    )


def _is_transient(code: str, complaint: Complaint) -> bool:
    return code not in _FINAL or _first_match(_BAD_OUTPUT, complaint.words) is not None


def _meaning_of(complaint: Complaint, delay: float | None) -> str | None:
    if meaning := _first_match(_MEANINGS, (*complaint.words, complaint.text)):
        return meaning
    return _first_match(_QUOTA_MEANINGS, (complaint.text,)) if delay is None else None


def _first_match(patterns: Mapping[str, re.Pattern[str]], texts: Iterable[str]) -> str | None:
    found = list(texts)
    return next((name for name, pattern in patterns.items() if any(map(pattern.search, found))), None)


def _had_connected(cause: BaseException | None) -> bool:
    return isinstance(cause, httpx2.ReadError | httpx2.RemoteProtocolError | httpx2.DecodingError)


def _body_of(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return response.text
    except httpx2.StreamError:
        return ""


def _delay_in(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait: in milliseconds, in seconds, or until a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (delay := seconds_in(headers.get(name, ""))) is not None:
            return delay * unit
    try:
        moment = email.utils.parsedate_tz(headers.get("retry-after", ""))
        return None if moment is None else email.utils.mktime_tz(moment) - time.time()
    except (ValueError, OverflowError):
        return None


def _bounded(delay: float | None) -> float | None:
    return None if delay is None or math.isnan(delay) else min(max(delay, 0.0), MAX_DELAY_SECONDS)
