"""A process whose worker passes on the host's trace: `python -m tests.worker.tracing <trace parent>`."""

import asyncio
import sys
from pathlib import Path

from tests.worker.host.driver import running_worker


async def main(trace_parent: str) -> None:
    """Read a missing session within the host's span; print the trace of the answer."""
    async with running_worker(Path(__file__).parents[2]) as worker:
        worker.trace_parent = trace_parent
        response = await worker.http.get("/sessions/none")
        print(response.headers["x-trace-id"])  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
