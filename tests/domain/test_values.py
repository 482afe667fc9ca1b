"""Sizes are counted, and texts are truncated, in bytes of UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.domain.values import Failure, Usage, size_of, truncate

texts = st.text(st.characters(exclude_categories=("Cs",)))


@given(texts)
def test_a_size_is_the_number_of_utf8_bytes(text: str) -> None:
    assert size_of(text) == len(text.encode())


@given(texts, st.integers(0, 30))
def test_a_truncated_text_is_the_longest_prefix_that_fits(text: str, limit: int) -> None:
    prefix, is_truncated = truncate(text, limit)

    assert text.startswith(prefix)
    assert size_of(prefix) <= limit
    assert is_truncated == (prefix != text)
    assert not is_truncated or size_of(text[: len(prefix) + 1]) > limit


def test_usages_add_up() -> None:
    first = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)

    assert first + first + Usage() == Usage(prompt_tokens=2, completion_tokens=4, total_tokens=6)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="retriable"):
        Failure.model_validate({"code": "x", "message": "y", "retriable": True})
