"""The table of outcomes says what is next after every reply that an activity may give."""

from typing import Any, get_args

import pytest

from turnlog.orchestrations import activities
from turnlog.orchestrations.contracts import CALL_MODEL, FINISH_TURN, PARK_TURN, RUN_TOOL, Activity, Next

ACTIVITIES: list[Activity[Any]] = [CALL_MODEL, RUN_TOOL, PARK_TURN, FINISH_TURN]


def outcomes(annotation: Any) -> set[str]:
    """The texts of a Literal, or of a union of Literals."""
    return {annotation} if isinstance(annotation, str) else set[str]().union(*map(outcomes, get_args(annotation)))


@pytest.mark.parametrize("activity", ACTIVITIES, ids=lambda activity: activity.name)
def test_every_outcome_of_an_activity_has_an_entry_and_nothing_else_has(activity: Activity[Any]) -> None:
    known = outcomes(activity.reply.model_fields["outcome"].annotation)

    assert set(activity.next) == known - {"unavailable", "broken"}
    assert activity.next_after("unavailable") is Next.RETRY_LATER
    assert activity.next_after("broken") is Next.RETRY_AFTER_ERROR


@pytest.mark.parametrize("activity", ACTIVITIES, ids=lambda activity: activity.name)
def test_every_activity_may_fail(activity: Activity[Any]) -> None:
    assert "failed" in activity.next


@pytest.mark.parametrize("activity", ACTIVITIES, ids=lambda activity: activity.name)
def test_every_activity_of_the_table_is_a_function_of_that_name(activity: Activity[Any]) -> None:
    assert getattr(activities, activity.name).__name__ == activity.name
