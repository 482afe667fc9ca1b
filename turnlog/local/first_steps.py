"""What a newcomer opens and sends first: the last lines that a start prints."""

import sys
from collections.abc import Container
from pathlib import Path


def first_steps(url: str, served: Container[str] | None = None) -> list[str]:
    """Return a line for each step that is possible with the served route templates; by default all."""
    steps = {
        "": f"  console        {url}/",
        "api/docs": f"  API docs       {url}/api/docs",
        "sessions/{session_id}/messages": f"  in a terminal  {_command_path()} chat --url {url}",
        "sessions": f"  first request  curl -X POST {url}/sessions",
    }
    return [line for template, line in steps.items() if served is None or template in served]


def _command_path() -> Path:
    """Return the path of the command `turnlog` that is installed beside this Python, short if it is in this folder."""
    command = Path(sys.executable).with_name("turnlog")
    return command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
