"""Counts the requests of turns to Cosmos DB and prices them by published tables: `python -m bench.cost`."""

import argparse
import asyncio
import json
import sys

from bench.cost.report import Bill, details, plain, scale_tables, table
from bench.cost.scale import count_operations, stored_bytes
from bench.cost.turns import SHAPES, serve_app


def main() -> None:
    arguments = _arguments()
    if arguments.scale:
        print(asyncio.run(_scale()))
        return
    bills = asyncio.run(_bill(arguments.only or list(SHAPES)))
    if arguments.json:
        print(json.dumps([plain(bill) for bill in bills], indent=2))
        return
    print(table(bills))
    if arguments.requests:
        print("\n".join(details(bill) for bill in bills))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(SHAPES), help="count this turn; may be given repeatedly"
    )
    parser.add_argument(
        "--requests", action="store_true", help="also list every request, and the lines of code that sent it"
    )
    parser.add_argument(
        "--scale", action="store_true", help="count instead what grows with the number of sessions: docs/run/scale.md"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    return parser.parse_args()


async def _scale() -> str:
    async with serve_app() as app:
        await app.run(SHAPES["short"])
        print("counting sessions, lists and deletions …", file=sys.stderr, flush=True)
        operations = await count_operations(app)
        stored = {shape.title: stored_bytes((await app.run(shape)).all) for shape in SHAPES.values()}
    return scale_tables(operations, stored)


async def _bill(names: list[str]) -> list[Bill]:
    bills: list[Bill] = []
    async with serve_app() as app:
        await app.run(SHAPES["short"])  # the first turn of a process also reads the containers
        for name in names:
            print(f"counting {name} …", file=sys.stderr, flush=True)
            bills.append(Bill.of(name, SHAPES[name], await app.run(SHAPES[name])))
    return bills


if __name__ == "__main__":
    main()
