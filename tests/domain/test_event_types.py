"""Which event types a reader asks for: names, and patterns with `*`."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.domain.history import matches_any

TEXTS = st.text(alphabet="ab.", max_size=12)
PATTERNS = st.text(alphabet="ab.*", max_size=12)


@given(text=TEXTS, pattern=PATTERNS)
def test_a_star_stands_for_any_text(text: str, pattern: str) -> None:
    assert matches_any((pattern,), text) == fnmatchcase(text, pattern)


@pytest.mark.parametrize("pattern", ["a?", "[ab]", "A"])
def test_nothing_else_is_special(pattern: str) -> None:
    assert not matches_any((pattern,), "a")
    assert matches_any((pattern,), pattern)


def test_the_parts_around_a_star_do_not_overlap() -> None:
    assert not matches_any(("tool*ol",), "tool")
    assert matches_any(("tool*ol",), "toolol")


def test_one_of_the_patterns_is_enough() -> None:
    assert matches_any(("run.*", "message.delta"), "message.delta")
    assert not matches_any(("run.*", "message.delta"), "message.start")
