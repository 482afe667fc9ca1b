"""The figures, one module per subject; its `measure` returns its lines of the table."""

from collections.abc import Awaitable, Callable

from bench.figures import (
    at_once,
    cancelling,
    history,
    load,
    parts,
    posts,
    processes,
    recovering,
    resuming,
    rooms,
    stalling,
    starting,
    tools,
    turns,
    watching,
)
from bench.load_driver import Bench
from bench.report import Figure

SUBJECTS: dict[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "turns": turns.measure,
    "tools": tools.measure,
    "load": load.measure,
    "parts": parts.measure,
    "at once": at_once.measure,
    "posts": posts.measure,
    "processes": processes.measure,
    "cancelling": cancelling.measure,
    "resuming": resuming.measure,
    "watching": watching.measure,
    "stalling": stalling.measure,
    "rooms": rooms.measure,
    "history": history.measure,
    "recovering": recovering.measure,
    "starting": starting.measure,
}
