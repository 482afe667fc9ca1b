"""What a model's server counted, read tolerantly: servers leave out, add, round and misspell."""

from collections.abc import Mapping
from typing import Any, cast

from turnlog.domain.values import Usage


def usage_of(counted: Mapping[str, Any] | None) -> Usage | None:
    """Return the tokens; None where the server counted none, which compatible servers may do."""
    if not counted:
        return None
    prompt = _count(counted, "prompt_tokens", "input_tokens")
    completion = _count(counted, "completion_tokens", "output_tokens")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_count(counted, "total_tokens") or prompt + completion,
        cached_tokens=_detail(counted, "cached_tokens", "prompt_tokens_details", "input_tokens_details")
        or _count(counted, "prompt_cache_hit_tokens", "cached_tokens"),
        reasoning_tokens=_detail(counted, "reasoning_tokens", "completion_tokens_details", "output_tokens_details"),
    )


def _detail(counted: Mapping[str, Any], name: str, *holders: str) -> int:
    details = next((counted[holder] for holder in holders if isinstance(counted.get(holder), Mapping)), None)
    return 0 if details is None else _count(cast("Mapping[str, Any]", details), name)


def _count(counted: Mapping[str, Any], *names: str) -> int:
    for name in names:
        try:
            value = float(counted.get(name) or 0)
        except (TypeError, ValueError, OverflowError):
            continue
        if 0 < value < 2**53:
            return int(value)
    return 0
