"""`python -m bench.peers`: it reads the answer of each system, and shows all of them in one table."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bench.client import AnswerError, Connection, connected
from bench.load_driver import Timing
from bench.peers import drivers, environment
from bench.peers.__main__ import install
from bench.peers.environment import InstallError
from bench.peers.measuring import Result, render
from bench.peers.systems import SYSTEMS, TURNLOG, ports_in

Run = Callable[[Connection, str], Awaitable[Timing]]
Answer = tuple[int, list[str]]

_CREATED: Answer = (201, ['{"session_id":"ses-1"}'])
_TURNLOG_STREAM = [
    'id: 2\nevent: user_message\ndata: {"content":"Tell me"}\n\n',
    'id: 4\nevent: message.delta\ndata: {"text":"Scripted "}\n\n',
    'id: 6\nevent: run.complete\ndata: {"status":"completed"}\n\n',
    "event: done\ndata: {}\n\n",
]
_AGNO_STREAM = [
    'event: RunStarted\ndata: {"event":"RunStarted","run_id":"r"}\n\n',
    'event: RunContent\ndata: {"event":"RunContent","content":"","content_type":"str"}\n\n',
    'event: RunContent\ndata: {"event":"RunContent","content":"Scripted ","content_type":"str"}\n\n',
    'event: RunCompleted\ndata: {"event":"RunCompleted","content":"Scripted model"}\n\n',
]
_STREAMED: list[tuple[Run, list[Answer]]] = [
    (drivers.run_turnlog, [_CREATED, (200, _TURNLOG_STREAM)]),
    (drivers.run_agno, [(200, _AGNO_STREAM)]),
    (drivers.run_agno_in_background, [(200, _AGNO_STREAM)]),
]
_WHOLE: list[Run] = [drivers.run_restate, drivers.run_restate_on_stream]


@asynccontextmanager
async def _answering(answers: list[Answer]) -> AsyncGenerator[tuple[str, list[str]]]:
    """Serve `answers` one after the other, each in pieces; give the origin and the list of requests."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status, pieces in answers:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.partition("content-length: ")[2].split("\r\n")[0])
            requests.append(head + (await reader.readexactly(length)).decode())
            writer.write(f"HTTP/1.1 {status} OK\r\ntransfer-encoding: chunked\r\n\r\n".encode())
            for piece in [*pieces, ""]:
                writer.write(f"{len(piece):x}\r\n{piece}\r\n".encode())
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


async def _run(run: Run, answers: list[Answer]) -> tuple[Timing, list[str]]:
    async with _answering(answers) as (origin, requests), connected(origin) as connection:
        return await run(connection, "ses-1"), requests


@pytest.mark.anyio
@pytest.mark.parametrize(("run", "answers"), _STREAMED)
async def test_a_stream_gives_the_times_of_its_first_event_its_first_token_and_its_end(
    run: Run, answers: list[Answer]
) -> None:
    timing, requests = await _run(run, answers)

    assert 0 < timing.first_event <= timing.first_token <= timing.total
    assert len(requests) == len(answers)
    assert all("ses-1" in request for request in requests)


@pytest.mark.anyio
@pytest.mark.parametrize("run", _WHOLE)
async def test_a_whole_answer_has_no_first_event(run: Run) -> None:
    timing, requests = await _run(run, [(200, [json.dumps("Scripted model here")])])

    assert math.isnan(timing.first_event)
    assert timing.total > 0
    assert requests[0].startswith("POST /Chat/ses-1/message")


@pytest.mark.anyio
@pytest.mark.parametrize(("run", "answers"), _STREAMED)
async def test_a_stream_that_ends_before_its_turn_is_refused(run: Run, answers: list[Answer]) -> None:
    *before, (status, pieces) = answers

    with pytest.raises(AnswerError, match="did not complete"):
        await _run(run, [*before, (status, pieces[:2])])


@pytest.mark.anyio
@pytest.mark.parametrize("run", _WHOLE)
@pytest.mark.parametrize("answer", [(200, ['""']), (500, ['{"message":"failed"}'])])
async def test_a_whole_answer_without_the_text_is_refused(run: Run, answer: Answer) -> None:
    with pytest.raises(AnswerError):
        await _run(run, [answer])


def test_the_background_run_of_agno_is_asked_for_in_its_form() -> None:
    _, inline = asyncio.run(_run(drivers.run_agno, [(200, _AGNO_STREAM)]))
    _, background = asyncio.run(_run(drivers.run_agno_in_background, [(200, _AGNO_STREAM)]))

    assert "background=false" in inline[0]
    assert "background=true" in background[0]


def test_the_table_compares_each_system_with_the_model_alone_and_with_turnlog() -> None:
    results = {system: Result([Timing(1, 2, 5)] * 20, few=[50], many=[40, 40, 90]) for system in SYSTEMS}
    results[SYSTEMS[0]] = Result([Timing(0.5, 0.5, 2)] * 20, few=[500], many=[500])
    whole = next(system for system in SYSTEMS if system.run is drivers.run_restate)
    results[whole] = Result([Timing(math.nan, math.nan, 20)] * 20, few=[25], many=[20])

    lines = render(results).splitlines()

    rows = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:8])}
    assert rows[TURNLOG.name] == [
        "1.00 ms (p95 1.00)",
        "2.00 ms (p95 2.00)",
        "5.0 ms (p95 5.0)",
        "2.50 times",
        "50.0 · 40.0",
        "none",
    ]
    assert rows[whole.name] == ["none", "none", "20.0 ms (p95 20.0)", "10.0 times", "25.0 · 20.0", "2.00 · 2.00"]
    assert [sum(f"| {system.name} |" in line for line in lines) for system in SYSTEMS] == [2] * len(SYSTEMS)


def test_a_table_without_a_system_that_failed_still_shows_the_others() -> None:
    (agno,) = [system for system in SYSTEMS if system.run is drivers.run_agno]

    lines = render({agno: Result([Timing(1, 2, 5)], few=[50], many=[40])}).splitlines()

    assert [line for line in lines if "50.0 · 40.0" in line] == [
        f"| {agno.name} | 1.00 ms | 2.00 ms | 5.0 ms | none | 50.0 · 40.0 | none |"
    ]


def test_a_peer_that_cannot_be_installed_is_left_out_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise InstallError("npm is not installed")

    assert not install(replace(TURNLOG, name="a peer", install=(fail,)))
    assert "a peer is left out: npm is not installed" in capsys.readouterr().err
    assert install(TURNLOG)


def test_a_command_that_fails_is_reported_with_its_last_line() -> None:
    with pytest.raises(InstallError, match="no-such-command-here is not installed"):
        environment.run("no-such-command-here")
    with pytest.raises(InstallError, match="failed: the reason"):
        environment.run("sh", "-c", "echo first >&2; echo the reason >&2; exit 3")


def test_the_ports_of_restate_are_read_from_its_log_while_it_is_written() -> None:
    def line(name: str, port: int) -> str:
        return json.dumps({"fields": {"message": "listening"}, "span": {"server_name": name, "server.port": port}})

    log = "\n".join(
        [line("message-fabric-server", 1), line("http-ingress-server", 2), '{"fields":{}}', line("admin-api-server", 3)]
    )

    assert ports_in(log + "\n") == {"http-ingress-server": 2, "admin-api-server": 3}
    assert ports_in(log) == {"http-ingress-server": 2}
    assert ports_in("") == {}


def test_the_versions_are_those_of_the_lock_files() -> None:
    named = dict(each.rsplit(" ", 1) for each in environment.versions().split(", "))

    assert {"agno", "restate-sdk", "restate-server"} <= named.keys()
