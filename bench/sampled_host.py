"""The local host, with a sampler that says which parts of the app its processor time goes to.

`python -m bench.sampled_host` takes the arguments of the host. From SIGUSR1 to SIGUSR2 it is sampled. Then the seconds
of each part are in the file that BENCH_SAMPLES names, as JSON.
"""

import json
import os
import signal
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

from turnlog.local.host.entry import main

SAMPLES = "BENCH_SAMPLES"
_INTERVAL = 0.001  # seconds of processor time

PARTS: dict[str, tuple[str, ...]] = {
    "frames": ("/api/edge/sse.py", "/edge/session_stream.py", "/log/stream.py", "/log/large_texts.py", "/following.py"),
    "store": ("turnlog/stores/", "/log/writer.py", "/log/holding.py", "turnlog/telemetry/stores.py"),
    "model stream": ("turnlog/models/", "/turns/relay.py", "/openai/", "/httpx", "/httpcore", "/h11/", "/anyio/"),
    "orchestrator": ("turnlog/orchestrations/", "/local/durable/", "/durable_functions/", "/scheduler.py", "/aiohttp/"),
    "HTTP": ("/uvicorn/", "/starlette/", "turnlog/api/", "/host/web.py", "/local/push/", "/local/sockets.py"),
    "activity": ("turnlog/services/", "turnlog/agents/", "turnlog/wiring.py"),
}
"""The parts, and pieces of the paths of their files. Other files count for what calls them."""

_LOOP = "event loop"
_THREADS = {"sqlite": "store", "taskhub": "orchestrator"}
"""The parts of threads, by the beginning of a thread's name."""


class Sampler:
    """Adds the processor time of the main thread to the part that runs when a timer ends, and that of the others."""

    def __init__(self) -> None:
        self._seconds = defaultdict[str, float](float)
        self._sampled_at = 0.0
        self._others: dict[str, float] = {}

    def begin(self, *_: object) -> None:
        self._seconds.clear()
        self._sampled_at, self._others = time.thread_time(), _other_threads()
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)

    def sample(self, _: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        self._seconds[_part_of(frame)] += now - self._sampled_at
        self._sampled_at = now

    def end(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        for name, seconds in _other_threads().items():
            part = next((part for start, part in _THREADS.items() if name.startswith(start)), _LOOP)
            self._seconds[part] += seconds - self._others.get(name, 0.0)
        path = Path(os.environ[SAMPLES])
        written = path.with_suffix(".new")
        written.write_text(json.dumps(self._seconds))
        written.rename(path)


def _part_of(frame: FrameType | None) -> str:
    """The part of the innermost frame that belongs to one."""
    while frame is not None:
        for part, pieces in PARTS.items():
            if any(piece in frame.f_code.co_filename for piece in pieces):
                return part
        frame = frame.f_back
    return _LOOP


def _other_threads() -> dict[str, float]:
    """The processor time of each thread except the main one, in seconds, by name."""
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    return {
        each.name: time.clock_gettime(time.pthread_getcpuclockid(each.ident))
        for each in others
        if each.ident is not None
    }


if __name__ == "__main__":
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.signal(signal.SIGUSR1, sampler.begin)
    signal.signal(signal.SIGUSR2, sampler.end)
    main()
