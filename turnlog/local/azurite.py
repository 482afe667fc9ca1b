"""Starts Azurite, the storage that Core Tools need, unless the settings name a storage account."""

import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from turnlog.local.errors import AddressError, HostError
from turnlog.local.process_group import ProcessGroup
from turnlog.local.sockets import bind

PACKAGE = "azurite@3.37.0"
DEVELOPMENT_STORAGE = "UseDevelopmentStorage=true"
"""The connection string of Azurite on its default ports."""

_POLL_SECONDS = 0.2
_PORTS = {"Blob": 10000, "Queue": 10001, "Table": 10002}
# Azurite's own account, the same on every machine (Microsoft publishes it); it protects nothing.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Azurite:
    """Azurite as it runs; `connection` is its connection string."""

    def __init__(self, data_dir: Path, stack: ExitStack) -> None:
        """Start it on its default ports, or on free ones; `stack` ends it."""
        self._ports = {service: _port_or_free(port) for service, port in _PORTS.items()}
        options = ["--silent", "--skipApiVersionCheck", "--location", str(data_dir / "azurite")]
        for service, port in self._ports.items():
            options += [f"--{service.lower()}Port", str(port)]
        address = f"127.0.0.1:{self._ports['Blob']}"
        print(f"  storage        Azurite, at {address} (npx downloads it the first time) …", flush=True)
        # npx passes no signal on to the node process that it starts, and waits for it.
        command = ["npx", "--yes", "--loglevel", "error", PACKAGE, *options]
        self._group = stack.enter_context(ProcessGroup(command, signal_all=True))

    @property
    def connection(self) -> str:
        if self._ports == _PORTS:
            return DEVELOPMENT_STORAGE
        account = ["DefaultEndpointsProtocol=http", f"AccountName={_ACCOUNT}", f"AccountKey={_KEY}"]
        endpoints = [f"{service}Endpoint=http://127.0.0.1:{port}/{_ACCOUNT}" for service, port in self._ports.items()]
        return ";".join([*account, *endpoints]) + ";"

    @property
    def has_ended(self) -> bool:
        return self._group.poll() is not None

    def wait(self, stop: threading.Event) -> bool:
        """Wait until Azurite accepts connections; false if `stop` was set before. Core Tools give up after a while.

        Raises:
            HostError: Azurite has ended.
        """
        began = time.monotonic()
        for port in self._ports.values():
            while not _accepts(port):
                if stop.wait(_POLL_SECONDS):
                    return False
                if self.has_ended:
                    raise HostError(
                        f"Azurite (npx {PACKAGE}) ended before it listened; HOST_MODE=local needs no storage"
                    )
        print(f"  storage        ready after {time.monotonic() - began:.0f} s", flush=True)
        return True


def _port_or_free(port: int) -> int:
    for wanted in (port, 0):
        with suppress(AddressError), bind("127.0.0.1", wanted) as probe:
            return probe.getsockname()[1]
    raise AddressError("there is no free port for Azurite")


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
