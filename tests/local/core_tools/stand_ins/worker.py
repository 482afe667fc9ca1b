"""The worker of the stand-in for Core Tools: serves the app of the current folder, or fails as a bare Python does."""

import asyncio
import importlib
import logging
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))  # as the real worker does


async def serve() -> None:
    importlib.import_module("azure.durable_functions")  # fails in a Python without the app's packages
    import uvicorn

    from turnlog.local.host.index import load
    from turnlog.local.host.options import options_of
    from turnlog.local.host.serving import serve

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    state = Path(os.environ.get("DATA_DIR") or ".data") / "stand-in"
    app = load(Path())
    async with serve(app, options_of(Path(), "127.0.0.1", 0, state)) as running:
        # The web server of the HTTP extension sets up uvicorn's log, which prints the worker's port.
        uvicorn.Config(lambda: None)
        logging.getLogger("uvicorn.error").info("Uvicorn running on %s (Press CTRL+C to quit)", running.url)
        print(f"WORKER {running.url.rsplit(':', 1)[1]}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve())
