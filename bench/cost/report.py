"""The bills of turns: their requests, priced and compared with goals."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.cost import leases, prices
from bench.cost.charges import Meter, by_size, create_charge
from bench.cost.requests import Item, Request
from bench.cost.scale import Operation
from bench.cost.turns import Shape, Turn
from bench.report import Figure
from bench.report import table as figure_table
from turnlog.stores.cosmos.containers import SESSIONS


@dataclass(frozen=True)
class Bill:
    """The request units of one turn, and of the same turn with a document for each token instead of flushes."""

    name: str
    shape: Shape
    turn: Turn
    charges: dict[int, float]

    @classmethod
    def of(cls, name: str, shape: Shape, turn: Turn) -> "Bill":
        meter, requests = Meter(), (*turn.before, *turn.own, *turn.reading)
        return cls(name, shape, turn, {id(request): meter.charge(request) for request in requests})

    def ru(self, requests: Sequence[Request]) -> float:
        return sum(self.charges[id(request)] for request in requests)

    @property
    def naive(self) -> float:
        """The request units of one create for each token, and of the requests other than flushes."""
        return self.ru(self.turn.others) + self.shape.tokens * create_charge(
            SESSIONS, _document_of_one_token(self.turn)
        )

    @property
    def ratio(self) -> float:
        return self.naive / self.ru(self.turn.own)

    @property
    def figures(self) -> list[Figure]:
        """The figures; only those of a turn of 1 000 tokens have goals."""
        long = self.name == "long"
        turn, title = self.turn, self.shape.title
        return [
            Figure(f"{title}: flushes", len(turn.flushes), "", goal_max=45 if long else None),
            Figure(f"{title}: other requests", len(turn.others), "", goal_max=12 if long else None),
            Figure(f"{title}: in all", self.ru(turn.own), "RU", goal_max=350 if long else None),
            Figure(f"{title}: one document per token", self.ratio, "times", goal_min=12 if long else None),
        ]


def table(bills: Sequence[Bill]) -> str:
    """Return the bills as Markdown: goals, request units, euros; then the cost of the change feed's leases."""
    figures = figure_table([figure for bill in bills for figure in bill.figures])
    return "\n\n".join((figures, _request_units(bills), _euros(bills), _idle_feed(), _batches())) + "\n"


def _request_units(bills: Sequence[Bill]) -> str:
    head = ("RU of a turn", "flushes", "other writes", "reads", "in all", "by size alone", "a document per token",
            "each reader", "leases, at most")  # fmt: skip
    return _markdown([head, *([bill.shape.title, *(f"{value:.0f}" for value in _parts(bill))] for bill in bills)])


def _parts(bill: Bill) -> tuple[float, ...]:
    turn = bill.turn
    writes = [request for request in turn.others if request.kind == "write"]
    reads = [request for request in turn.others if request.kind != "write"]
    parts = [bill.ru(part) for part in (turn.flushes, writes, reads, turn.own)]
    return (*parts, sum(map(by_size, turn.own)), bill.naive, bill.ru(turn.reading), leases.checkpoints(turn))


def _euros(bills: Sequence[Bill]) -> str:
    head = ("€ for 1 000 turns", "serverless", "autoscale, used to the full", "serverless, a document per token",
            "Functions, a turn alone on its instances", "Functions, a hundred share them")  # fmt: skip
    return _markdown([head, *([bill.shape.title, *(f"{value:.3f}" for value in _prices(bill))] for bill in bills)])


def _prices(bill: Bill) -> tuple[float, ...]:
    """Return euros per 1 000 turns. Two instances run code during the whole turn: the activity's and the stream's."""
    ru, seconds, executions = 1000 * bill.ru(bill.turn.own), 2000 * bill.turn.seconds, 1000 * 8
    alone = prices.functions(seconds, executions, shared_by=1)
    shared = prices.functions(seconds, executions, shared_by=prices.INSTANCE_SHARES)
    return prices.serverless(ru), prices.autoscale(ru), prices.serverless(1000 * bill.naive), alone, shared


def _idle_feed() -> str:
    """Return the requests that are repeated, with or without changes."""
    head = ("the change feed, idle", "every", "RU", "RU a second", "million RU a month", "€ a month",
            "€ with the SDK's defaults")  # fmt: skip
    rows = [
        [each.title, f"{each.interval.total_seconds():g} s", f"{each.charge:.1f}", *_cells(_idle(each))]
        for each in (*leases.LEASES, leases.POLLS)
    ]
    total = [sum(column) for column in zip(*map(_idle, leases.LEASES), strict=True)]
    rows.insert(-1, ["leases in all, with one range and one instance", "", "", *_cells(total)])
    return _markdown([head, *rows])


def _idle(each: leases.Repeated) -> tuple[float, ...]:
    return each.per_second, each.per_month / 1e6, each.euros, each.default_euros


def _cells(values: Iterable[float]) -> list[str]:
    return [f"{value:.2f}" for value in values]


def _batches() -> str:
    head = ("a batch of the change feed, for each function", "requests for the lease", "RU", "€ for a million batches")
    batches = {
        "the first one after a renewal": (3, leases.CHECKPOINT_AFTER_RENEWAL),
        "each further one": (1, leases.CHECKPOINT),
    }
    rows = [
        [title, str(requests), f"{charge:.1f}", f"{prices.serverless(1e6 * charge):.2f}"]
        for title, (requests, charge) in batches.items()
    ]
    return _markdown([head, *rows])


def scale_tables(operations: Sequence[Operation], stored: Mapping[str, int]) -> str:
    """Return as Markdown: the requests besides turns, and what a session with one turn stores."""
    head = ("request of a client", "requests to Cosmos DB", "RU", "largest answer, KB")
    rows = [[each.title, str(each.requests), f"{each.charge:.0f}", f"{each.size / 1024:.1f}"] for each in operations]
    sizes = [[title, f"{size / 1024:.1f}"] for title, size in stored.items()]
    return "\n\n".join((_markdown([head, *rows]), _markdown([("a session with one turn", "stored KB"), *sizes]))) + "\n"


def details(bill: Bill) -> str:
    """Return every request of a turn except its flushes, with the lines of code that sent it."""
    lines = [f"\n{bill.shape.title}"]
    for request in bill.turn.others:
        items = ", ".join(item["id"][:24] for item in request.items)
        lines.append(
            f"{request.kind:5} {request.status} {request.size:6} B {bill.charges[id(request)]:6.2f} RU  {items}"
            f"\n      {' < '.join(request.callers[:4])}"
        )
    return "\n".join(lines)


def plain(bill: Bill) -> dict[str, Any]:
    """Return a bill for JSON."""
    turn = bill.turn
    return {
        "turn": bill.name,
        "flushes": len(turn.flushes),
        "other_requests": len(turn.others),
        "request_units": bill.ru(turn.own),
        "one_document_per_token": bill.naive,
        "reader_requests": len(turn.reading),
        "reader_request_units": bill.ru(turn.reading),
        "max_lease_request_units": leases.checkpoints(turn),
        "seconds": turn.seconds,
        "euros_per_1000_turns_serverless": _prices(bill)[0],
        "euros_per_1000_turns_autoscale": _prices(bill)[1],
        "met": all(figure.met is not False for figure in bill.figures),
    }


def _document_of_one_token(turn: Turn) -> Item:
    """Return the document of a design that writes each token: a flush of this turn with one word in it."""
    chunks = [item for request in turn.own for item in request.items if item["kind"] == "chunk"]
    held = [(chunk, event) for chunk in chunks for event in json.loads(chunk["events"])]
    chunk, delta = next((chunk, event) for chunk, event in held if event["data"]["type"] == "message.delta")
    delta["data"]["text"] = "tokens "
    fields = {name: value for name, value in chunk.items() if name not in {"last_non_delta", "types"}}
    return {**fields, "events": json.dumps([delta], separators=(",", ":"))}


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    width = len(rows[0])
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], ["---"] * width, *rows[1:]))
