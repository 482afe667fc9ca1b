"""The worker indexes every function of the app."""

import pytest

from tests.worker.host.driver import Function, Worker

pytestmark = pytest.mark.anyio

# Histories and running instances name the orchestrator and the activities: never rename one.
_DURABLE = {
    "run_turn": [("orchestrationTrigger", "context")],
    "run_deletion": [("orchestrationTrigger", "context")],
    "deliver_webhook": [("orchestrationTrigger", "context")],
    "call_model": [("activityTrigger", "work")],
    "run_tool": [("activityTrigger", "work")],
    "park_turn": [("activityTrigger", "work"), ("durableClient", "client")],
    "finish_turn": [("activityTrigger", "work"), ("durableClient", "client")],
    "delete_sessions": [("activityTrigger", "work"), ("durableClient", "client")],
    "send_webhook": [("activityTrigger", "work")],
}
_TIMERS = {"sweep_turns", "clear_deleted", "purge_instances"}
_ROUTES = {
    "GET /",
    "GET console",
    "GET console/{version}/{folder}/{file}",
    "GET health",
    "GET ready",
    "GET sessions",
    "POST sessions",
    "GET sessions/{session_id}",
    "PATCH sessions/{session_id}",
    "DELETE sessions/{session_id}",
    "GET sessions/{session_id}/status",
    "GET sessions/{session_id}/result",
    "POST sessions/{session_id}/fork",
    "GET sessions/{session_id}/messages",
    "POST sessions/{session_id}/messages",
    "POST sessions/{session_id}/cancel",
    "GET sessions/{session_id}/tool_calls/{call_id}",
    "POST sessions/{session_id}/tool_calls/{call_id}/approval",
    "POST sessions/{session_id}/tool_calls/{call_id}/result",
    "GET agents",
    "GET sessions/{session_id}/events",
    "POST sessions/{session_id}/events",
    "GET sessions/{session_id}/export",
    "POST events",
    "GET events/{session_id}",
    "GET sessions/{session_id}/stream",
    "GET api/sessions/{session_id}/stream",
    "GET projects/{project_id}/stream",
    "GET stream",
    "GET messages/{message_id}",
    "GET messages/{message_id}/full",
    "GET projects",
    "POST projects",
    "GET projects/{project_id}",
    "PATCH projects/{project_id}",
    "DELETE projects/{project_id}",
    "GET projects/{project_id}/deletion",
    "GET projects/{project_id}/sessions",
    "POST projects/{project_id}/sessions",
    "GET projects/{project_id}/usage",
    "GET sessions/{session_id}/usage",
    "GET api/schemas/project-document",
    "GET api/openapi.json",
    "GET api/docs",
    "GET api/docs/{asset}",
}


def _with(worker: Worker, trigger: str) -> list[Function]:
    return [each for each in worker.functions.values() if each.trigger["type"] == trigger]


async def test_the_orchestrators_and_their_activities_are_indexed_with_their_bindings(worker: Worker) -> None:
    indexed = {
        function.name: sorted((binding["type"], binding["name"]) for binding in function.bindings)
        for function in [*_with(worker, "orchestrationTrigger"), *_with(worker, "activityTrigger")]
    }

    assert indexed == _DURABLE


async def test_only_durable_functions_timers_and_the_api_are_indexed(worker: Worker) -> None:
    others = set(worker.functions) - set(_DURABLE) - {function.name for function in _with(worker, "httpTrigger")}

    assert others == _TIMERS


async def test_the_api_is_indexed_by_its_routes(worker: Worker) -> None:
    routes = [
        f"{method} {each.trigger['route']}"
        for each in _with(worker, "httpTrigger")
        for method in each.trigger["methods"]
    ]

    assert set(routes) >= _ROUTES
    assert len(routes) == len(set(routes))


async def test_an_http_function_has_a_request_a_response_and_perhaps_a_client(
    worker: Worker,
) -> None:
    for function in _with(worker, "httpTrigger"):
        others = [binding for binding in function.bindings if binding["type"] != "durableClient"]

        assert [(each["type"], each["direction"]) for each in others] == [("httpTrigger", "IN"), ("http", "OUT")]
        assert function.names_of("durableClient") in ([], ["client"])


async def test_the_app_identifies_callers_without_function_keys(worker: Worker) -> None:
    assert {function.trigger["authLevel"] for function in _with(worker, "httpTrigger")} == {"ANONYMOUS"}


async def test_a_timer_has_a_schedule_with_seconds_and_no_client_but_a_durable_one(worker: Worker) -> None:
    for function in _with(worker, "timerTrigger"):
        assert function.names_of("durableClient") in ([], ["client"])
        assert len(function.trigger["schedule"].split()) == 6


async def test_the_sweep_runs_at_startup(worker: Worker) -> None:
    assert worker.functions["sweep_turns"].trigger["runOnStartup"] is True
