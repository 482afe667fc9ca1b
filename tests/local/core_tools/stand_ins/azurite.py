"""A stand-in for Azurite: listens on its ports, after the time that a download takes."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

DEFAULTS = {"--blobPort": "10000", "--queuePort": "10001", "--tablePort": "10002"}


def main() -> None:
    given = dict(zip(sys.argv, sys.argv[1:], strict=False))
    time.sleep(float(os.environ.get("STAND_IN_DOWNLOAD_SECONDS", "0")))
    if os.environ.get("STAND_IN_AZURITE_FAILS"):
        sys.exit("npm error 404 Not Found")
    folder = Path(given["--location"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__azurite_db_queue__.json").write_text("{}")
    listeners = [
        socket.create_server(("127.0.0.1", int(given.get(name, default)))) for name, default in DEFAULTS.items()
    ]
    signal.pause()
    for listener in listeners:
        listener.close()


if __name__ == "__main__":
    main()
