"""Requests besides turns, which grow with the number of sessions: opening, listing and deleting them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cost.charges import Meter, size_of
from bench.cost.requests import Item, Request, record
from bench.cost.turns import SHAPES, App
from bench.load_driver import run_turn

SESSIONS = 50
"""The default length of a page of `GET /sessions`."""

_BY_REQUEST = ("turnlog/api/", "turnlog/services/projects/deletions.py")
_BY_TIMER = "turnlog/orchestrations/timers.py"


@dataclass(frozen=True)
class Operation:
    """What one request of a client sends to Cosmos DB. `size` is that of its largest answer, in bytes."""

    title: str
    requests: int
    charge: float
    size: int


async def count_operations(app: App) -> list[Operation]:
    """Open sessions in a project, run a turn of 50 tokens in each, list them, and delete them."""
    ask, steps, session = app.caller.ask, list[tuple[str, int]](), ""
    with record() as sent:
        project = (await ask("POST", "/projects", {"name": "Scale"}, expect=201))["id"]
        for number in range(SESSIONS):
            steps += [("open a session", len(sent))] if number == SESSIONS - 1 else []
            body = {"project_id": project, "agent_name": "assistant"}
            session = (await ask("POST", "/sessions", body, expect=201))["session_id"]
            steps += [("turns", len(sent))] if number == SESSIONS - 1 else []
            await run_turn(app.caller, session, SHAPES["short"].model)
        for title, method, path, status in (
            ("read a session", "GET", f"/sessions/{session}", 200),
            (f"list {SESSIONS} sessions", "GET", f"/sessions?limit={SESSIONS}", 200),
            ("delete a session", "DELETE", f"/sessions/{session}", 204),
            (f"delete a project with {SESSIONS - 1} sessions", "DELETE", f"/projects/{project}", 204),
        ):
            steps.append((title, len(sent)))
            await ask(method, path, expect=status)
    return _operations(sent, steps)


def _operations(sent: Sequence[Request], steps: Sequence[tuple[str, int]]) -> list[Operation]:
    meter = Meter()
    charges = [meter.charge(request) for request in sent]
    ends = [begin for _, begin in steps[1:]] + [len(sent)]
    found = list[Operation]()
    for (title, begin), end in zip(steps, ends, strict=True):
        own = [place for place in range(begin, end) if _is_of_client(sent[place])]
        sizes = [sent[place].size for place in own]
        found.append(Operation(title, len(own), sum(charges[place] for place in own), max(sizes, default=0)))
    return [operation for operation in found if operation.title != "turns"]


def _is_of_client(request: Request) -> bool:
    is_timers = any(line.startswith(_BY_TIMER) for line in request.callers)
    return not is_timers and any(line.startswith(_BY_REQUEST) for line in request.callers)


def stored_bytes(requests: Sequence[Request]) -> int:
    """The size of all items that `requests` left in the container of the sessions, as sent."""
    items: dict[str, Item] = {}
    for request in requests:
        if request.container == "sessions" and request.status < 300:
            items |= {item["id"]: item for item in request.items}
    return sum(map(size_of, items.values()))
