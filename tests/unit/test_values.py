"""Sizes are counted and texts are cut in bytes of UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.domain.values import Failure, Usage, cut, size_of

texts = st.text(st.characters(exclude_categories=("Cs",)))


@given(texts)
def test_a_size_is_what_the_store_counts(text: str) -> None:
    assert size_of(text) == len(text.encode())


@given(texts, st.integers(0, 30))
def test_a_cut_text_is_the_longest_beginning_that_fits(text: str, limit: int) -> None:
    kept, was_cut = cut(text, limit)

    assert text.startswith(kept)
    assert size_of(kept) <= limit
    assert was_cut == (kept != text)
    assert not was_cut or size_of(text[: len(kept) + 1]) > limit


def test_usages_add_up() -> None:
    first = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)

    assert first + first + Usage() == Usage(prompt_tokens=2, completion_tokens=4, total_tokens=6)


def test_a_typo_never_passes_for_data() -> None:
    with pytest.raises(ValidationError, match="retriable"):
        Failure.model_validate({"code": "x", "message": "y", "retriable": True})
