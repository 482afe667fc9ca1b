"""A stand-in for Azure Functions Core Tools: behaves like the real `func start` wherever the project depends on it.

Like Core Tools 4.14, with which this was compared, it

- takes `python3` from PATH, and serves nothing (404, and it keeps running) if that Python lacks the app's packages;
- needs its storage at the start, and gives up after a while;
- takes the `Values` of local.settings.json, and prints the name of each that the environment sets already;
- starts a worker process, and starts it again when a folder appears or vanishes in the app's root folder;
- stops at the first SIGINT or SIGTERM: open requests get their time, then the worker ends; a second signal cuts them;
- leaves its worker behind when it is killed;
- prints its own log lines only from the level that `logging.logLevel.default` of host.json names, else from Warning.

STAND_IN_REPORT names a file that gets one JSON line for each event that a test reads.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

STORAGE_SECONDS = float(os.environ.get("STAND_IN_STORAGE_SECONDS", "26"))
GRACE_SECONDS = 30.0
STOP_SECONDS = 0.5
_WORKER = Path(__file__).with_name("worker.py")
_DEFAULT_PORTS = "10000,10001,10002"


def report(**what: Any) -> None:
    if path := os.environ.get("STAND_IN_REPORT"):
        with Path(path).open("a") as file:
            file.write(json.dumps(what) + "\n")


def main() -> None:
    if sys.argv[1:2] == ["--version"]:
        print("4.14.0")
        return
    if sys.argv[1:2] != ["start"]:
        sys.exit(f"Unknown action {sys.argv[1:]}")
    arguments = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    take_settings()
    report(event="start", arguments=sys.argv[1:], environment=dict(os.environ), pid=os.getpid())
    python = shutil.which("python3")
    if python is None:
        sys.exit("Could not find a Python version. 3.10 to 3.14 is recommended, and used in Azure Functions.")
    port = int(arguments.get("--port", "7071"))
    if not is_free(port):
        sys.exit(
            f"Port {port} is unavailable. Close the process using that port, or specify another port using --port [-p]."
        )
    wait_for_storage()
    if code := os.environ.get("STAND_IN_FUNC_ENDS"):
        sys.exit(int(code))
    asyncio.run(Host(python, port).run())


def take_settings() -> None:
    path = Path("local.settings.json")
    values: dict[str, str] = json.loads(path.read_text())["Values"] if path.exists() else {}
    for name, value in values.items():
        if name in os.environ:
            print(f"Skipping '{name}' from local settings as it's already defined in current environment variables.")
        else:
            os.environ[name] = value


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def storage_ports() -> tuple[int, ...]:
    connection = os.environ["AzureWebJobsStorage"]
    if connection == "UseDevelopmentStorage=true":
        return tuple(int(port) for port in os.environ.get("STAND_IN_STORAGE_PORTS", _DEFAULT_PORTS).split(","))
    parts = dict(part.split("=", 1) for part in connection.split(";") if part)
    endpoints = [parts[f"{service}Endpoint"] for service in ("Blob", "Queue", "Table")]
    return tuple(int(endpoint.split(":")[2].split("/")[0]) for endpoint in endpoints)


def wait_for_storage() -> None:
    until = time.monotonic() + STORAGE_SECONDS
    for port in storage_ports():
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > until:
                print(f"Connection refused (127.0.0.1:{port})")
                sys.exit("Value cannot be null. (Parameter 'provider')")
            time.sleep(0.1)


class Host:
    """Forwards the requests at its port to a worker, whose process it starts."""

    def __init__(self, python: str, port: int) -> None:
        self.python, self.port = python, port
        self.worker: asyncio.subprocess.Process | None = None
        self.worker_port: int | None = None
        self.open: set[asyncio.Task[Any]] = set()
        self.stopping = asyncio.Event()
        self.signals = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, self.stop)
        folders = root_folders()
        self.log_system("Initializing Warmup Extension.")
        await self.start_worker()
        server = await asyncio.start_server(self.accept, "127.0.0.1", self.port)
        chatter = asyncio.create_task(self.log_storage())
        while not self.stopping.is_set():
            if (now := root_folders()) != folders:
                folders = now
                await self.restart()
            await asyncio.sleep(0.1)
        server.close()
        chatter.cancel()
        await self.drain()
        await asyncio.sleep(STOP_SECONDS)
        if self.worker is not None and self.worker.returncode is None:
            self.worker.terminate()
            await self.worker.wait()
        report(event="stopped", signals=self.signals)

    def stop(self) -> None:
        self.signals += 1
        self.stopping.set()
        if self.signals > 1:
            for task in self.open:
                task.cancel()

    async def drain(self) -> None:
        if self.open:
            _, left = await asyncio.wait(self.open, timeout=GRACE_SECONDS)
            report(event="drained", cut=len(left))

    async def start_worker(self) -> None:
        self.worker = await asyncio.create_subprocess_exec(
            self.python, str(_WORKER), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        report(event="worker", pid=self.worker.pid)
        assert self.worker.stdout is not None
        while line := (await self.worker.stdout.readline()).decode():
            if line.startswith("WORKER "):
                self.worker_port = int(line.split()[1])
                break
            print(line, end="", flush=True)
        else:
            print("No job functions found. Try making your job classes and methods public.", flush=True)
            return
        self.log_user("Functions:\n\n\tget_health: [GET] http://localhost:" + f"{self.port}/health\n")
        self.echo = asyncio.create_task(self.print_worker())

    async def print_worker(self) -> None:
        assert self.worker is not None
        assert self.worker.stdout is not None
        while line := await self.worker.stdout.readline():
            print(line.decode(), end="", flush=True)

    async def restart(self) -> None:
        report(event="restart", folders=sorted(root_folders()))
        print("Directory change detected. Host configuration has changed. Signaling restart", flush=True)
        assert self.worker is not None
        self.worker.kill()
        await self.worker.wait()
        await self.start_worker()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            await self.forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self.open.discard(task)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one request: an idle keep-alive connection must not count as an open request."""
        head = await reader.readuntil(b"\r\n\r\n")
        if self.worker_port is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            writer.close()
            return
        origins = cors_origins()
        if head.startswith(b"OPTIONS ") and origins:
            allowed = f"access-control-allow-origin: {origins}\r\n"
            writer.write(f"HTTP/1.1 204 No Content\r\n{allowed}connection: close\r\n\r\n".encode())
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.worker_port)
        back.write(head.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
        upload = asyncio.create_task(pump(reader, back))
        try:
            await pump(there, writer)
        finally:
            upload.cancel()
            back.transport.abort()
        writer.close()

    async def log_storage(self) -> None:
        while True:
            self.log_system("Request [1] GET http://127.0.0.1:10001/devstoreaccount1/turnlog-workitems/messages")
            await asyncio.sleep(0.02)

    def log_user(self, text: str) -> None:
        print(text, flush=True)

    def log_system(self, text: str) -> None:
        if system_level() in {"Trace", "Debug", "Information"}:
            print(text, flush=True)


def cors_origins() -> str:
    return sys.argv[sys.argv.index("--cors") + 1] if "--cors" in sys.argv else ""


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


def root_folders() -> set[str]:
    return {entry.name for entry in os.scandir() if entry.is_dir()}


def system_level() -> str:
    """Return the level from which Core Tools print their own lines; levels of categories do not apply there."""
    levels: dict[str, str] = json.loads(Path("host.json").read_text()).get("logging", {}).get("logLevel", {})
    return levels.get("default", "Warning")


if __name__ == "__main__":
    main()
