"""Indexes the app with the settings of this process, and prints the functions that follow the change feed."""

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def main() -> None:
    from tests.worker.host.driver import running_worker

    async with running_worker(ROOT) as worker:
        found = {
            each.name: {**each.trigger, "retries": (each.retries.retry_strategy, each.retries.max_retry_count)}
            for each in worker.functions.values()
            if each.trigger["type"] == "cosmosDBTrigger"
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    asyncio.run(main())
