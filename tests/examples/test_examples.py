"""The programs of `examples`, as a user runs them in a terminal beside a running server."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from tests.http.api_client import ROOT, TIMEOUT_SECONDS, running_host

CHAT = ROOT / "examples" / "python" / "chat.py"
DRAW = 'call draw_lots {"names": ["Ann"], "count": 1}'


class Terminal:
    """A running `chat.py`. `text` is what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.text = ""

    def read_until(self, wanted: str) -> str:
        """Wait until the program has printed `wanted`; return what it printed since the last call."""
        assert self._process.stdout is not None
        start = len(self.text)
        while wanted not in self.text[start:]:
            character = self._process.stdout.read(1)
            assert character, f"the program ended with {self._process.wait()}: {self.text}"
            self.text += character
        return self.text[start:]

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    @property
    def session_id(self) -> str:
        return self.text.partition("session ")[2].partition(";")[0]


@contextmanager
def chat(url: str, *arguments: str) -> Generator[Terminal]:
    process = subprocess.Popen(
        [sys.executable, "-u", str(CHAT), "--url", url, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    watchdog = Timer(TIMEOUT_SECONDS, process.kill)  # then a wait for its output fails
    watchdog.start()
    try:
        terminal = Terminal(process)
        terminal.read_until("> ")
        yield terminal
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def answer_in(url: str, session_id: str) -> str:
    """The answer to the newest message of the session."""
    with urllib.request.urlopen(f"{url}/sessions/{session_id}/messages?order=desc&limit=1") as response:
        return json.load(response)[0]["answer"]


def test_the_chat_prints_an_answer_and_continues_its_session(tmp_path: Path) -> None:
    with running_host(tmp_path) as host:
        with chat(host.url) as terminal:
            terminal.write("Hello")
            printed = terminal.read_until("[completed]\n> ")
            assert printed == f"{answer_in(host.url, terminal.session_id)}\n[completed]\n> "
        with chat(host.url, terminal.session_id) as again:
            again.write("And now?")
            printed = again.read_until("[completed]\n> ")

            assert "And now?" in printed
            assert "Hello" not in printed


@pytest.mark.parametrize(("answer", "result"), [("y", '["Ann"]'), ("n", "denied")])
def test_the_chat_asks_before_a_tool_runs(tmp_path: Path, answer: str, result: str) -> None:
    with running_host(tmp_path) as host, chat(host.url, "--agent", "raffle") as terminal:
        terminal.write(DRAW)
        terminal.read_until("run it? y/n] ")
        terminal.write(answer)

        assert result in terminal.read_until("[completed]")


def test_the_chat_continues_after_a_kill_of_the_server(tmp_path: Path) -> None:
    with running_host(tmp_path, {"MODEL": "fake-150-20"}) as host, chat(host.url) as terminal:
        terminal.write("Tell me a story")
        terminal.read_until("Scripted model here")
        host.kill()
        with running_host(tmp_path, {"MODEL": "fake-150-20"}, port=int(host.url.rpartition(":")[2])):
            terminal.read_until("[the step starts again]\n")
            printed = terminal.read_until("[completed]")

            assert printed == f"{answer_in(host.url, terminal.session_id)}\n[completed]"


def test_the_agent_of_the_example_pays_back_after_an_approval(tmp_path: Path) -> None:
    agents = {"AGENTS_DIR": str(ROOT / "examples" / "own-agent" / "agents")}
    with running_host(tmp_path, agents) as host, chat(host.url, "--agent", "refunds") as terminal:
        terminal.write('call find_order {"order_id": "A-1"}')
        assert '[find_order returned {"order_id": "A-1", "cents": 2500}]' in terminal.read_until("> ")
        terminal.write('call find_order {"order_id": "B-9"}')
        assert "There is no order B-9." in terminal.read_until("> ")
        terminal.write('call refund {"order_id": "A-1", "cents": 500}')
        terminal.read_until("run it? y/n] ")
        terminal.write("y")

        assert '[refund returned "500 cents of order A-1 are paid back."]' in terminal.read_until("> ")
