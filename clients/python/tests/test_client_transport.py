"""What both clients do when the service is away, busy, refuses, or ends a stream."""

import httpx2
import pytest
from scripted_service import DONE, AsyncCalls, SyncCalls, frame, problem, stream
from turnlog_client import (
    AsyncClient,
    Backoff,
    Client,
    Connection,
    GoneError,
    NetworkError,
    NotFoundError,
    ProblemError,
    StreamOptions,
    UnauthenticatedError,
)

FAST = Backoff(min=0.001, max=0.002)
AGENTS: dict[str, object] = {"agents": [], "default": "a"}


@pytest.fixture(params=[SyncCalls, AsyncCalls])
def calls(request: pytest.FixtureRequest) -> type[SyncCalls]:
    return request.param


def _lost() -> Exception:
    return httpx2.ConnectError("connection refused")


def _ok(body: object = AGENTS, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, json=body)


def test_a_token_is_asked_for_with_each_request_and_again_when_the_service_answers_401(calls: type[SyncCalls]) -> None:
    tokens = iter(["old", "new"])
    service = calls([problem(401, "unauthenticated"), _ok()], lambda: next(tokens))

    service.list_agents()

    assert service.headers("authorization") == ["Bearer old", "Bearer new"]


def test_a_service_that_answers_401_twice_is_not_asked_again(calls: type[SyncCalls]) -> None:
    service = calls([problem(401, "unauthenticated")] * 3, lambda: "t")

    with pytest.raises(UnauthenticatedError):
        service.list_agents()
    assert len(service.requests) == 2


def test_a_stream_that_ends_with_its_token_resumes_with_a_new_one(calls: type[SyncCalls]) -> None:
    tokens = iter(["first", "second", "third"])
    answers = [stream(frame(1), "retry: 1\n\n"), problem(401, "unauthenticated"), stream(frame(2), DONE)]
    service = calls(answers, lambda: next(tokens))

    events = service.events(StreamOptions(backoff=FAST))

    assert [event.sequence for event in events] == [1, 2]
    assert service.headers("authorization") == ["Bearer first", "Bearer second", "Bearer third"]


def test_a_request_is_sent_again_with_the_same_key_if_its_answer_is_lost_or_the_service_is_busy(
    calls: type[SyncCalls],
) -> None:
    service = calls([_lost(), problem(503, "store_unavailable", retry_after="0"), _ok({"session_id": "s"}, 201)])

    assert service.create() == "s"

    keys = service.headers("idempotency-key")
    assert len(set(keys)) == 1
    assert len(keys[0] or "") == 32


def test_requests_of_their_own_have_keys_of_their_own_and_the_same_decision_has_the_same_key(
    calls: type[SyncCalls],
) -> None:
    service = calls([_ok({"session_id": "s"})] * 4)

    service.create()
    service.create()
    service.approve()
    service.approve()

    first, second, third, fourth = service.headers("idempotency-key")
    assert first != second
    assert third == fourth


def test_there_are_no_more_tries_than_were_asked_for(calls: type[SyncCalls]) -> None:
    service = calls([_lost(), _lost(), _lost()], max_tries=2)

    with pytest.raises(NetworkError, match="connection refused"):
        service.list_agents()
    assert len(service.requests) == 2


def test_a_refusal_is_not_sent_again_also_if_a_proxy_answers_without_a_problem(calls: type[SyncCalls]) -> None:
    service = calls([httpx2.Response(418, text="<html>")])

    with pytest.raises(ProblemError) as refused:
        service.list_agents()
    assert (refused.value.code, str(refused.value)) == ("http_418", "The server answered with 418 I'm a teapot")
    assert len(service.requests) == 1


def test_a_page_in_place_of_json_is_a_failure_of_the_network(calls: type[SyncCalls]) -> None:
    service = calls([httpx2.Response(200, html="<html>"), _ok()])

    assert service.list_agents() == AGENTS


def test_a_stream_resumes_with_the_last_id_after_a_planned_end_a_cut_a_refusal_for_now_and_repeats_nothing(
    calls: type[SyncCalls],
) -> None:
    service = calls(
        [
            stream(frame(1) + frame(2) + "retry: 1\n\n"),
            _lost(),
            problem(429, "rate_limited", retry_after="0"),
            stream(frame(2) + frame(3) + "id: 4-abc\ndata: {half"),
            stream(frame(4), httpx2.ReadError("cut")),
            stream(frame(5) + DONE),
        ]
    )
    connections: list[Connection] = []

    events = service.events(StreamOptions(on_connection=connections.append, backoff=FAST))

    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert [event.cursor for event in events][-1] == "5-abc"
    assert service.headers("last-event-id") == ["0", "2-abc", "2-abc", "2-abc", "3-abc", "4-abc"]
    live = [(each.cursor, each.is_resumed) for each in connections if each.state == "live"]
    assert live == [("0", False), ("2-abc", True), ("3-abc", True), ("4-abc", True)]
    assert (connections[-1].state, connections[-1].cursor, connections[-1].reason) == ("ended", "9-abc", "finished")


def test_a_stream_without_anything_more_ends_with_204(calls: type[SyncCalls]) -> None:
    service = calls([httpx2.Response(204)])

    assert service.events(StreamOptions(after="7-abc", types=["run.*", "error"], follow=True)) == []
    assert service.headers("last-event-id") == ["7-abc"]
    assert service.requests[0].url.query == b"format=envelope&follow=true&types=run.%2A%2Cerror"


def test_a_connection_that_stays_silent_is_given_up_and_the_stream_resumes(calls: type[SyncCalls]) -> None:
    service = calls([stream(httpx2.ReadTimeout("nothing came")), stream(frame(1) + DONE)])

    events = service.events(StreamOptions(max_silence=7, backoff=FAST))

    assert [event.sequence for event in events] == [1]
    assert service.requests[0].extensions["timeout"]["read"] == 7


def test_a_cursor_of_before_a_restore_is_refused_for_ever(calls: type[SyncCalls]) -> None:
    with pytest.raises(GoneError) as refused:
        calls([problem(410, "cursor_gone")]).events(StreamOptions(after="3-old"))

    assert refused.value.code == "cursor_gone"


def test_a_connection_that_ends_without_a_word_of_the_service_is_a_failure(calls: type[SyncCalls]) -> None:
    waits: list[str] = []

    def note(connection: Connection) -> None:
        if connection.state == "waiting":
            waits.append("failure" if isinstance(connection.error, NetworkError) else "planned")

    answers = [
        stream(),
        httpx2.Response(200, html="<html>"),
        stream(": open\n\n"),
        stream("retry: 1\n\n"),
        stream(DONE),
    ]
    calls(answers).events(StreamOptions(on_connection=note, backoff=FAST))

    assert waits == ["failure", "failure", "failure", "planned"]


def test_the_caller_s_key_and_wait_are_headers_and_not_in_the_body(calls: type[SyncCalls]) -> None:
    service = calls([_ok({"message_id": "m"})] * 2)

    service.send(model="m", client_id="c", idempotency_key="k", wait=12)
    service.send()

    assert service.bodies() == [{"content": "Hi", "model": "m", "client_id": "c"}, {"content": "Hi"}]
    assert service.headers("prefer") == ["wait=12", "respond-async"]
    assert service.headers("idempotency-key")[0] == "k"
    assert service.requests[0].extensions["timeout"]["read"] > 12


def test_a_deletion_whose_answer_was_lost_is_done_if_the_repeat_finds_nothing(calls: type[SyncCalls]) -> None:
    missing = problem(404, "session_not_found")

    calls([_lost(), missing]).delete()
    with pytest.raises(NotFoundError):
        calls([problem(404, "session_not_found")]).delete()


def test_an_export_that_was_cut_off_is_an_error(calls: type[SyncCalls]) -> None:
    whole = '{"head": 2}\n{"sequence": 1}\n{"sequence": 2}\n'

    assert len(calls([httpx2.Response(200, text=whole)]).export()) == 3
    with pytest.raises(NetworkError, match="cut off after sequence 1 of 2"):
        calls([httpx2.Response(200, text=whole[:-17])]).export()


def test_waits_differ_between_readers_also_those_that_the_service_asks_for() -> None:
    waits = [Backoff(min=1, max=1).next(2) for _ in range(50)]

    assert all(2 <= wait <= 2.5 for wait in waits)
    assert len(set(waits)) > 1


def test_waits_grow_to_a_limit() -> None:
    backoff = Backoff(min=1, max=8)

    waits = [backoff.next() for _ in range(60)]

    assert all(limit / 2 <= wait <= limit for limit, wait in zip([1, 2, 4, 8, 8], waits, strict=False))
    assert max(waits) <= 8


@pytest.mark.parametrize("url", ["localhost:7071", "turnlog.example", "", "http://", "http://host:port"])
def test_a_url_that_names_no_server_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Client(url)
    with pytest.raises(ValueError, match="base_url"):
        AsyncClient(url)


def test_a_client_that_was_given_is_not_closed() -> None:
    http = httpx2.Client()

    with Client("http://service", http=http):
        pass

    assert not http.is_closed
