"""One trace covers a turn from its post to its end, even if several processes work on it."""

from pathlib import Path

import pytest

from tests.http.api_client import Api, api_client, ok, refusal, running_host
from tests.telemetry.console_telemetry import CONSOLE_TELEMETRY, Recorded, read_telemetry, span_tree, wait_for_telemetry

pytestmark = pytest.mark.anyio

CALLER = "00f067aa0ba902b7"
PROMPT = 'call calculate {"expression": "6*7"}'
POST = "POST /sessions/{session_id}/messages"


def traced(trace: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{CALLER}-01"}


def is_whole(seen: Recorded, trace: str) -> bool:
    """Whether the trace has the whole turn: its request, and the model call that ended it."""
    spans = seen.in_trace(trace)
    return POST in span_tree(spans) and any(span.attributes.get("turnlog.outcome") == "ended" for span in spans)


async def test_a_turn_with_a_tool_call_is_one_trace_under_its_post(api: Api, log: Path) -> None:
    trace = "1" * 32
    message = await api.run_turn(await api.new_session(), PROMPT, model="fake-20-0", headers=traced(trace))

    seen = (await wait_for_telemetry(log, lambda seen: is_whole(seen, trace))).in_trace(trace)

    assert message["trace_id"] == trace
    assert span_tree(seen) == {
        "no parent": {POST},
        POST: {"post message"},
        "post message": {"invoke_agent assistant"},
        "invoke_agent assistant": {"call_model", "run_tool"},
        "call_model": {"chat fake-20-0"},
        "run_tool": {"execute_tool calculate"},
    }
    ids = {span.id for span in seen}
    assert {span.parent for span in seen} - ids == {f"0x{CALLER}"}
    assert len(ids) == len(seen)


async def test_every_span_of_a_turn_has_its_attributes(api: Api, log: Path) -> None:
    trace = "2" * 32
    message = await api.run_turn(await api.new_session(), PROMPT, model="fake-20-0", headers=traced(trace))

    whole = await wait_for_telemetry(log, lambda seen: is_whole(seen, trace))
    seen = Recorded("", whole.in_trace(trace), {}, [])

    turn = seen.one("invoke_agent assistant")
    assert turn.attributes["gen_ai.conversation.id"] == message["session_id"]
    assert (turn.attributes["turnlog.outcome"], turn.attributes["turnlog.steps"]) == ("completed", 2)
    assert turn.attributes["gen_ai.usage.input_tokens"] == message["usage"]["prompt_tokens"]
    first, second = sorted(seen.named("call_model"), key=lambda span: span.attributes["turnlog.step"])
    assert (first.attributes["turnlog.outcome"], second.attributes["turnlog.outcome"]) == ("tools", "ended")
    assert (first.attributes["turnlog.attempt"], first.attributes["turnlog.turn_id"]) == (1, message["turn_id"])
    assert second.attributes["turnlog.time_to_first_event"] > 0
    assert "turnlog.time_to_first_event" not in first.attributes
    calls = [span.attributes for span in seen.named("chat fake-20-0")]
    assert {call["gen_ai.response.finish_reasons"][0] for call in calls} == {"tool_calls", "stop"}
    assert sum(call["gen_ai.usage.output_tokens"] for call in calls) == message["usage"]["completion_tokens"]
    assert seen.one("execute_tool calculate").attributes["turnlog.outcome"] == "completed"
    assert {(span.kind, span.status) for span in seen.spans if span.name == POST} == {("SERVER", "UNSET")}
    stored = {span.attributes["db.operation.name"] for span in seen.spans if "db.system.name" in span.attributes}
    assert {"append", "state", "get"} <= stored
    assert "flush" not in stored


async def test_a_queued_turn_is_in_the_trace_of_its_own_post(api: Api, log: Path) -> None:
    running, waiting = "3" * 32, "4" * 32
    session_id = await api.new_session()
    await api.start_turn(session_id, model="fake-30-10", headers=traced(running))
    await api.start_turn(session_id, model="fake-5-0", headers=traced(waiting))

    both = await wait_for_telemetry(log, lambda seen: "invoke_agent assistant" in span_tree(seen.in_trace(waiting)))

    for trace in (running, waiting):
        names = span_tree(both.in_trace(trace))
        assert names["post message"] == {"invoke_agent assistant"}
        # A turn that leaves a queue behind ends in its own activity.
        ended = {"finish_turn"} if trace == running else set[str]()
        assert names["invoke_agent assistant"] == {"call_model"} | ended


async def test_a_request_that_streams_lasts_as_long_as_its_stream(api: Api, log: Path) -> None:
    trace = "5" * 32
    async with api.post_stream(await api.new_session(), model="hang-3", headers=traced(trace)) as stream:
        await stream.until("message.delta")
        assert not read_telemetry(log).named(POST) or POST not in {
            span.name for span in read_telemetry(log).in_trace(trace)
        }
        await wait_for_active_streams(log, 1)

    await wait_for_telemetry(log, lambda seen: POST in {span.name for span in seen.in_trace(trace)})
    await wait_for_active_streams(log, 0)


async def wait_for_active_streams(log: Path, streams: int) -> None:
    await wait_for_telemetry(
        log, lambda seen: (seen.point("turnlog.streams.active") or {"value": 0})["value"] == streams
    )


async def test_a_problem_has_a_fault_domain(api: Api, log: Path) -> None:
    trace = "6" * 32
    refusal(await api.http.get("/sessions/none", headers=traced(trace)), 404, "session_not_found")

    seen = (
        await wait_for_telemetry(
            log, lambda seen: "GET /sessions/{session_id}" in {s.name for s in seen.in_trace(trace)}
        )
    ).in_trace(trace)

    span = next(span for span in seen if span.name == "GET /sessions/{session_id}")
    assert (span.attributes["error.type"], span.attributes["turnlog.fault_domain"]) == ("session_not_found", "app")
    assert (span.attributes["http.response.status_code"], span.status) == (404, "UNSET")


async def test_a_failing_model_is_a_fault_of_the_model_in_spans_and_log(api: Api, log: Path) -> None:
    trace = "7" * 32
    message = await api.run_turn(await api.new_session(), model="fail-401", headers=traced(trace))

    names = ("chat fail-401", "call_model", "invoke_agent assistant")
    seen = await wait_for_telemetry(log, lambda seen: {POST, *names} <= {span.name for span in seen.in_trace(trace)})

    assert message["error"]["code"] == "model_unauthorized"
    for name in names:
        (span,) = [span for span in seen.in_trace(trace) if span.name == name]
        recorded = (span.status, span.attributes["error.type"], span.attributes["turnlog.fault_domain"])
        assert recorded == ("ERROR", "model_unauthorized", "model"), name
    (record,) = [record for record in seen.logs if message["turn_id"] in record["body"]]
    assert record["trace_id"].removeprefix("0x") == trace
    assert record["body"].endswith("failed: model_unauthorized, a fault of model")


async def test_an_attempt_after_a_killed_one_stays_in_the_trace(tmp_path: Path) -> None:
    trace, log = "8" * 32, tmp_path / "host.log"
    with running_host(tmp_path, CONSOLE_TELEMETRY) as first:
        async with api_client(first) as api:
            session_id = await api.new_session()
            await api.start_turn(session_id, model="fake-40-50", headers=traced(trace))
            await api.wait_for_event(session_id, "message.delta", 2)
        first.kill()
    with running_host(tmp_path, CONSOLE_TELEMETRY) as second:
        async with api_client(second) as api:
            await api.wait_until_idle(session_id)
        seen = (
            await wait_for_telemetry(log, lambda seen: "call_model" in {s.name for s in seen.in_trace(trace)})
        ).in_trace(trace)

    turn = next(span for span in seen if span.name == "invoke_agent assistant")
    posting = next(span for span in seen if span.name == "post message")
    (attempt,) = [span for span in seen if span.name == "call_model"]
    assert turn.parent == posting.id
    assert (attempt.parent, attempt.attributes["turnlog.attempt"]) == (turn.id, 2)
    assert (attempt.attributes["turnlog.outcome"], attempt.attributes["turnlog.after"]) == ("ended", "attempt_lost")


async def test_every_attempt_at_a_step_is_a_span_with_its_outcome(api: Api, log: Path) -> None:
    trace = "9" * 32
    message = await api.run_turn(await api.new_session(), model="cut-3", headers=traced(trace))

    seen = (await wait_for_telemetry(log, lambda seen: POST in {span.name for span in seen.in_trace(trace)})).in_trace(
        trace
    )

    assert message["error"]["code"] == "model_broke_off"
    attempts = [span.attributes for span in seen if span.name == "call_model"]
    assert [(each["turnlog.attempt"], each["turnlog.outcome"]) for each in attempts] == [
        (1, "retry"),
        (2, "retry"),
        (3, "retry"),
        (4, "failed"),
    ]
    assert {each["turnlog.fault_domain"] for each in attempts} == {"model"}
    assert [each.get("turnlog.after") for each in attempts] == [None, *["model_broke_off"] * 3]


async def test_a_turn_that_another_instance_continues_stays_in_its_trace(api: Api, log: Path) -> None:
    trace, session_id = "a" * 32, await api.new_session()
    draw = 'call draw_lots {"names": ["Ann"], "count": 1}'
    ok(await api.post(session_id, draw, agent="raffle", headers=traced(trace)), 202)
    (action,) = (await api.session(session_id))["required_action"]
    ok(
        await api.http.post(
            f"/sessions/{session_id}/tool_calls/{action['call_id']}/approval", json={"decision": "approve"}
        )
    )

    def complete(seen: Recorded) -> bool:
        return "ended" in {span.attributes.get("turnlog.outcome") for span in seen.in_trace(trace)}

    seen = (await wait_for_telemetry(log, complete)).in_trace(trace)

    turn = next(span for span in seen if span.name == "invoke_agent raffle")
    work = [span for span in seen if span.parent == turn.id]
    assert {span.name for span in work} == {"call_model", "run_tool", "park_turn"}
    assert len({span.attributes["turnlog.instance_id"] for span in work}) == 2
    waited, ran = [span.attributes["turnlog.outcome"] for span in work if span.name == "run_tool"]
    assert (waited, ran) == ("waits", "done")


async def test_metrics_have_values(api: Api, log: Path) -> None:
    model = "fake-25-1"
    session_id = await api.new_session()
    message = await api.run_turn(session_id, PROMPT, model=model)
    ok(await api.post(session_id, model="fail-400"))
    await api.read(session_id, last_event_id="1")

    def complete(seen: Recorded) -> bool:
        failed = seen.point("turnlog.turns", turnlog_outcome="failed", gen_ai_request_model="fail-400")
        return failed is not None and seen.point("turnlog.streams.opened", turnlog_resumed=True) is not None

    seen = await wait_for_telemetry(log, complete)

    whose = {"gen_ai_request_model": model, "gen_ai_agent_name": "assistant"}
    for kind, count in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        point = seen.point("gen_ai.client.token.usage", gen_ai_token_type=kind, **whose)
        assert point is not None
        assert (point["sum"], point["count"]) == (message["usage"][count], 2)
    turn = seen.point("turnlog.turns", turnlog_outcome="completed", **whose)
    failed = seen.point("turnlog.turns", turnlog_outcome="failed", gen_ai_request_model="fail-400")
    assert turn is not None
    assert failed is not None
    assert (turn["value"], failed["attributes"]["turnlog.fault_domain"]) == (1, "model")
    assert failed["attributes"]["error.type"] == "model_refused"
    for metric in (
        "turnlog.tool_calls",
        "turnlog.flushes",
        "turnlog.time_to_start",
        "turnlog.time_to_first_event",
        "turnlog.model_calls.active",
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.invoke_agent.duration",
        "gen_ai.execute_tool.duration",
        "db.client.operation.duration",
    ):
        assert seen.metrics[metric], metric
    names = {name for points in seen.metrics.values() for point in points for name in point["attributes"]}
    assert not {name for name in names if "conversation" in name or name.endswith("_id")}
