"""What a server counted is read whatever it leaves out, adds, rounds or misspells."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import unhurried
from turnlog.models.usage import usage_of


@pytest.mark.parametrize("counted", [None, {}])
def test_a_server_that_counts_nothing_has_no_usage(counted: dict[str, Any] | None) -> None:
    assert usage_of(counted) is None


@pytest.mark.parametrize(
    ("counted", "tokens"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 4}, (1, 2, 4, 0, 0)),
        ({"prompt_tokens": 1, "completion_tokens": 2}, (1, 2, 3, 0, 0)),
        ({"input_tokens": 1, "output_tokens": 2}, (1, 2, 3, 0, 0)),
        ({"prompt_tokens": "1", "completion_tokens": 2.7, "total_tokens": None}, (1, 2, 3, 0, 0)),
        ({"prompt_tokens": -1, "completion_tokens": "many", "total_tokens": [3]}, (0, 0, 0, 0, 0)),
        ({"prompt_tokens": float("inf"), "completion_tokens": float("nan")}, (0, 0, 0, 0, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, (5, 0, 5, 4, 0)),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 4}, (5, 0, 5, 4, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": None, "cached_tokens": 4}, (5, 0, 5, 4, 0)),
        ({"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 4}}, (0, 5, 5, 0, 4)),
        ({"output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 4}}, (0, 5, 5, 0, 4)),
    ],
)
def test_counts_are_read_as_servers_mean_them(counted: dict[str, Any], tokens: tuple[int, ...]) -> None:
    usage = usage_of(counted)

    assert usage is not None
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
    assert tuple(getattr(usage, name) for name in names) == tokens


_counts = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.integers(), max_size=1)
)


@unhurried
@given(
    st.dictionaries(st.sampled_from(["prompt_tokens", "total_tokens", "prompt_tokens_details"]), _counts, min_size=1)
)
def test_no_count_of_any_form_is_too_odd(counted: dict[str, Any]) -> None:
    assert usage_of(counted) is not None
