"""The habits of real model servers, one module for each topic. `HABITS` holds all of them by name."""

from tests.model_servers.habit import Habit
from tests.model_servers.habits.answers import (
    arguments,
    content,
    endings,
    framing,
    reasoning,
    responses_api,
    responses_calls,
    tool_calls,
    usage,
)
from tests.model_servers.habits.failures import connections, errors, statuses, waiting
from tests.model_servers.habits.requests import conversations, refusals, windows

_ANSWERS = (framing, endings, content, reasoning, usage, tool_calls, arguments, responses_api, responses_calls)
_FAILURES = (errors, statuses, waiting, connections)
_REQUESTS = (conversations, refusals, windows)

_ALL: list[Habit] = [habit for module in (*_ANSWERS, *_FAILURES, *_REQUESTS) for habit in module.HABITS]

HABITS = {habit.name: habit for habit in _ALL}
assert len(HABITS) == len(_ALL), "two habits have one name"
