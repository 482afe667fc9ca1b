"""The local Functions host: serves the app that Azure runs, on one machine.

It replaces the Functions host, its Python worker and the Durable extension. It supports what the app uses: HTTP, timer,
change-feed, activity and orchestration triggers, and the durable client. Its error for anything else names what it
refuses.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from turnlog.local.errors import HostError, RefusedError
from turnlog.local.first_steps import first_steps
from turnlog.local.host.options import PLATFORM_SETTINGS, Options, exposure_of, load_settings, name_account, options_of
from turnlog.local.model.launch import ModelServer, use_scripted_model
from turnlog.settings import SettingsError

if TYPE_CHECKING:
    from azure.functions import FunctionRegister

    from turnlog.local.host.functions import Index
    from turnlog.local.host.reload import AgentReload

_LAST_FRAMES_SECONDS = 0.5
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main(prog: str = "python -m turnlog.local.host") -> None:
    """Serve until a signal. SIGTERM gives open requests and streams the grace period, SIGINT cuts them."""
    began = time.monotonic()
    arguments = _arguments(prog)
    data_dir = arguments.data_dir.resolve() if arguments.data_dir else None
    try:
        os.chdir(arguments.app_dir)  # the worker's directory is also the app's
        load_settings(Path())
        _prepare(data_dir)
        with ExitStack() as stack:
            # Start the model server before the slow imports: it starts on another core at the same time.
            model = None if os.environ.get("OPENAI_BASE_URL") else stack.enter_context(ModelServer())
            options = options_of(Path(), arguments.host, arguments.port, Path(os.environ["DATA_DIR"]))
            shown = partial(print, flush=True) if sys.stdout.isatty() else None
            options = replace(options, grace=arguments.grace, print_request=shown)
            _serve(options, model, began, is_verbose=arguments.verbose)
    except KeyboardInterrupt:  # before it served
        sys.exit(130)
    except (HostError, SettingsError) as error:
        sys.exit(f"cannot start: {error}")
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)  # do not wait for busy threads of the app: Azure's worker does not either


def _arguments(prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--app-dir", type=_directory, default=Path(), help="folder of function_app.py (this one)")
    parser.add_argument("--port", type=int, help="PORT, else 7071; 0 takes a free one")
    parser.add_argument("--host", help="HOST, else 127.0.0.1")
    parser.add_argument("--data-dir", type=Path, help="folder of the state: DATA_DIR, else .data in the app's folder")
    parser.add_argument(
        "--grace",
        type=_seconds,
        default=Options.grace,
        help=f"seconds that open requests and streams get after SIGTERM ({Options.grace:.0f}, as in Azure)",
    )
    parser.add_argument("--verbose", action="store_true", help="list the routes and the other functions at the start")
    return parser.parse_args()


def _directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return Path(text)


def _seconds(text: str) -> float:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return float(text)


def _prepare(data_dir: Path | None) -> None:
    level = os.environ.get("LOG_LEVEL", "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise RefusedError(f"LOG_LEVEL must be one of {', '.join(logging.getLevelNamesMapping())}, not {level!r}")
    logging.basicConfig(level=level, format=_LOG_FORMAT)
    for name, value in PLATFORM_SETTINGS.items():
        os.environ.setdefault(name, value)
    if data_dir:
        os.environ["DATA_DIR"] = str(data_dir)
    os.environ.setdefault("DATA_DIR", ".data")
    name_account()


def _serve(options: Options, model: ModelServer | None, began: float, *, is_verbose: bool) -> None:
    from turnlog.local.host.index import load  # noqa: PLC0415 - slow, as below: the model server starts at the same time
    from turnlog.local.host.reload import AgentReload  # noqa: PLC0415

    notes: list[str] = []
    if model:
        use_scripted_model(model.wait())
        notes.append(f"  model          scripted, at {os.environ['OPENAI_BASE_URL']} (OPENAI_BASE_URL is not set)")
    agents = AgentReload(lambda line: print(line, flush=True))
    app = load(Path())
    # Imported objects stay in memory. Without this, each garbage collection scans them: a tenth of a turn's time.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(app, options, _Start(notes, began, agents, is_verbose)))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it does not exist for Windows
    except ImportError:
        return None
    return uvloop.new_event_loop


@dataclass(frozen=True)
class _Start:
    """What a start has prepared; `began` is the monotonic time of its beginning."""

    notes: list[str]
    began: float
    agents: "AgentReload"
    is_verbose: bool


async def _run(app: "FunctionRegister", options: Options, start: _Start) -> None:
    from turnlog.local.host.serving import serve  # noqa: PLC0415

    stop, stop_now, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if number == signal.SIGINT or stop.is_set():  # a person waits: do not wait for open requests
            stop_now.set()
        stop.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _frame: loop.call_soon_threadsafe(on_signal, number))
    async with serve(app, options, stop_now) as running:
        for line in [*_banner(running.index, options, is_verbose=start.is_verbose), *start.notes]:
            print(line)
        if warning := exposure_of(options.host, os.environ.get("AUTH_MODE")):
            print(warning, file=sys.stderr, flush=True)
        print(f"ready in {time.monotonic() - start.began:.1f} s, process {os.getpid()}")
        for line in first_steps(running.url, {each.template for each in running.index.routes}):
            print(line)
        print(f"listening on {running.url}", flush=True)
        reload = asyncio.create_task(start.agents.run())
        await stop.wait()
        reload.cancel()
        print("stopping", flush=True)
        if not stop_now.is_set():
            draining = asyncio.create_task(running.drain())
            # Readers of a turn that the next host continues have nothing to wait for.
            draining.add_done_callback(lambda _: loop.call_later(_LAST_FRAMES_SECONDS, stop_now.set))


def _banner(index: "Index", options: Options, *, is_verbose: bool) -> list[str]:
    functions = {
        "routes": [f"{','.join(sorted(each.methods)) or 'any':<14} /{each.template}" for each in index.routes],
        "orchestrators": list(index.orchestrators),
        "activities": list(index.activities),
        "timers": [f"{each.function.name} ({each.schedule})" for each in index.timers],
        "change feeds": [f"{each.function.name} ({each.container})" for each in index.feeds],
    }
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in functions.items() if names)
    routes = [f"  {route}" for route in functions.pop("routes")]
    listed = [*routes, *(f"  {kind:<14} {', '.join(names)}" for kind, names in functions.items() if names)]
    return [
        "Local Functions host: replaces Azure Functions and its Durable extension, on this machine only",
        *(listed if is_verbose else [f"  serves         {counts} (--verbose lists them)"]),
        f"  data           {options.data_dir.resolve()}, task hub {options.task_hub}",
    ]
