"""The examples of the README run as they are printed."""

import re
import subprocess
import sys
from pathlib import Path

from client_server import Server

README = Path(__file__).parents[1] / "README.md"


def test_the_examples_of_the_readme_run(server: Server) -> None:
    examples = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)

    outputs = [_run(each.replace("http://127.0.0.1:7071", server.url)) for each in examples]

    assert re.match(r"approved draw_lots[\s\S]*draw_lots returned", outputs[0])
    assert outputs[1].startswith("Scripted model here")


def _run(program: str) -> str:
    command = [sys.executable, "-c", program]
    path = str(README.parent / "src")
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": path})
    return done.stdout
