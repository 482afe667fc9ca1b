"""The figures, one module per subject; `measure` gives its lines of the table."""

from collections.abc import Awaitable, Callable

from bench.driving import Bench
from bench.figures import cancelling, history, load, recovering, resuming, rooms, starting, tools, turns, watching
from bench.report import Figure

SUBJECTS: dict[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "turns": turns.measure,
    "tools": tools.measure,
    "load": load.measure,
    "cancelling": cancelling.measure,
    "resuming": resuming.measure,
    "watching": watching.measure,
    "rooms": rooms.measure,
    "history": history.measure,
    "recovering": recovering.measure,
    "starting": starting.measure,
}
