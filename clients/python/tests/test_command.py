"""`turnlog`: its arguments, its exit codes, and the commands that only print."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from client_server import Server
from command_process import command, environment, run
from turnlog_client import Client

PLUGIN = """
import sys


def greet(arguments):
    print("greeted", *arguments)
    sys.exit(7)
"""


@pytest.fixture
def session_id(server: Server) -> str:
    with Client(server.url) as client:
        session = client.create_session()
        session.send("Hello", wait=60)
        return session.id


@pytest.mark.parametrize("name", ["chat", "watch", "tail", "export"])
def test_each_command_has_a_help(name: str) -> None:
    whole, own = run("--help"), run(name, "--help")

    assert (whole.returncode, own.returncode) == (0, 0)
    assert re.search(rf"^    {name} +\w", whole.stdout, re.MULTILINE)
    assert "TURNLOG_URL" in own.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["tail"], ["chat", "--url", "localhost:7071"], ["export", "--nonsense", "s"]]
)
def test_wrong_arguments_are_refused_with_the_usage(arguments: list[str]) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: turnlog")


@pytest.mark.parametrize("arguments", [["chat"], ["chat", "--session", "s"], ["watch"], ["tail", "s"], ["export", "s"]])
def test_a_service_that_is_away_is_named_with_what_to_do(arguments: list[str]) -> None:
    done = run(*arguments, TURNLOG_URL="http://127.0.0.1:9")

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("turnlog: no answer from http://127.0.0.1:9: ")
    assert "make run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["tail", "export"])
def test_a_session_that_is_not_found_is_named(server: Server, name: str) -> None:
    done = run(name, "missing", "--url", server.url)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "turnlog: There is no session 'missing'. (session_not_found)\n"


def test_tail_prints_a_line_for_each_event(server: Server, session_id: str) -> None:
    done = run("tail", session_id, "--url", server.url)

    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    assert re.fullmatch(r" +2  \d\d:\d\d:\d\d  user_message +Hello", lines[1])


def test_tail_filters_continues_and_prints_json(server: Server, session_id: str) -> None:
    after = run("tail", session_id, "--after", "2", "--types", "user_message,run.*", "--json", "--url", server.url)

    events = [json.loads(line) for line in after.stdout.splitlines()]
    assert [event["type"] for event in events] == ["run.start", "run.complete"]
    assert events[0]["data"]["agent"] == "assistant"


def test_a_reader_that_leaves_ends_the_command_without_an_error(server: Server, session_id: str) -> None:
    with subprocess.Popen(
        command("tail", session_id, "--follow", "--url", server.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        with Client(server.url) as client:
            for _ in range(2):
                client.session(session_id).send("More", wait=60)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_export_is_what_the_service_sends(server: Server, session_id: str) -> None:
    done = run("export", session_id, "--url", server.url)
    with Client(server.url) as client:
        lines = list(client.session(session_id).export())

    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == lines[1:]
    assert json.loads(done.stdout.splitlines()[0])["session_id"] == session_id


def test_watch_lists_the_sessions_and_then_each_change(server: Server) -> None:
    with (
        subprocess.Popen(
            command("watch", "--url", server.url), stdout=subprocess.PIPE, text=True, env=environment()
        ) as process,
        Client(server.url) as client,
    ):
        session = client.create_session(session_name="Watched")
        assert process.stdout is not None
        lines = (line for line in process.stdout if session.id in line)
        first = next(lines)
        session.send("Hello")
        running, idle = next(lines), next(lines)
        session.delete()
        deleted = next(lines)
        process.terminate()

    assert ("idle" in first, "Watched" in first) == (True, True)
    assert ("running" in running, "idle" in idle) == (True, True)
    assert f"{session.id} is deleted" in deleted


def test_commands_of_other_packages_are_found_and_get_their_arguments(tmp_path: Path) -> None:
    metadata = tmp_path / "turnlog_extra-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: turnlog-extra\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[turnlog.commands]\ngreet = extra:greet\nchat = extra:greet\n")
    (tmp_path / "extra.py").write_text(PLUGIN)

    greeted = run("greet", "--help", "Ann", PYTHONPATH=str(tmp_path))
    own = run("chat", "--help", PYTHONPATH=str(tmp_path))
    whole = run("--help", PYTHONPATH=str(tmp_path))

    assert (greeted.returncode, greeted.stdout) == (7, "greeted --help Ann\n")
    assert own.stdout.startswith("usage: turnlog chat")
    assert re.search(r"greet +of turnlog-extra", whole.stdout)
