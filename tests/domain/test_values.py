"""Sizes are counted in bytes of UTF-8, and texts are truncated in bytes as they are sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import to_json

from turnlog.domain.sizes import size_as_sent, size_of, size_of_body, truncate
from turnlog.domain.values import Failure, Usage

texts = st.text(st.characters(exclude_categories=("Cs",)))


@given(texts)
def test_a_size_is_the_number_of_utf8_bytes(text: str) -> None:
    assert size_of(text) == len(text.encode())


@given(texts)
def test_a_size_as_sent_is_that_of_json_within_json(text: str) -> None:
    body = to_json(text).decode()
    sent = json.dumps(body, ensure_ascii=False)

    assert size_of_body(body) == len(sent.encode()) - len('""')
    assert size_as_sent(text) == size_of_body(body) - size_of_body('""')


@given(texts, st.integers(0, 30))
def test_a_truncated_text_is_the_longest_prefix_that_fits(text: str, limit: int) -> None:
    prefix, is_truncated = truncate(text, limit)

    assert text.startswith(prefix)
    assert size_as_sent(prefix) <= limit
    assert is_truncated == (prefix != text)
    assert not is_truncated or size_as_sent(text[: len(prefix) + 1]) > limit


def test_usages_add_up() -> None:
    first = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)

    assert first + first + Usage() == Usage(prompt_tokens=2, completion_tokens=4, total_tokens=6)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="retriable"):
        Failure.model_validate({"code": "x", "message": "y", "retriable": True})
