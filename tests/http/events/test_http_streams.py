"""Streams: replay from a cursor, then follow; how they end, and how a client resumes them."""

import asyncio
import random

import pytest

from tests.http.api_client import Api, ok, refusal
from tests.http.sse_client import Frame, ids, names, text_of

pytestmark = pytest.mark.anyio


async def test_a_stream_is_the_log_as_named_frames(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, 'call calculate {"expression": "2+3"}')

    frames = await api.read(session_id)

    events = await api.events(session_id)
    assert [(frame.id, frame.event, frame.data) for frame in frames[:-1]] == [
        (event["sequence"], event["type"], event["data"]) for event in events
    ]


async def test_enveloped_frames_are_unnamed_and_whole(api: Api) -> None:
    session_id = await api.new_session()
    await api.append(session_id, {"event_type": "x", "field": 1})
    await api.run_turn(session_id)

    frames = await api.read(session_id, "format=envelope")

    assert [frame.data for frame in frames[:-1]] == await api.events(session_id)
    assert set(names(frames[:-1])) == {None}
    assert frames[-1].event == "done"


async def test_the_headers_of_a_stream_keep_proxies_from_buffering_it(api: Api) -> None:
    session_id = await api.new_session()

    async with api.stream(session_id) as stream:
        headers = stream.response.headers
        first = await anext(stream.response.aiter_bytes())

    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-session-id"] == session_id
    assert first.startswith(b":")


@pytest.mark.parametrize(
    ("types", "wanted"),
    [
        ("message.delta", {"message.delta"}),
        ("run.*", {"run.start", "run.complete"}),
        ("run.complete,token_usage", {"run.complete", "token_usage"}),
        ("nothing.at.all", set[str]()),
        ("*", None),
        ("", None),
    ],
)
async def test_types_filter_the_events_but_not_done(api: Api, types: str, wanted: set[str] | None) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    events = await api.events(session_id)

    frames = await api.read(session_id, f"types={types}")

    expected = [event["sequence"] for event in events if wanted is None or event["type"] in wanted]
    assert ids(frames) == expected
    assert (frames[-1].event, frames[-1].id) == ("done", len(events))


async def test_the_header_overrides_the_cursor_of_the_query(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    head = (await api.session(session_id))["head"]

    assert ids(await api.read(session_id, "after=3")) == list(range(4, head + 1))
    assert ids(await api.read(session_id, last_event_id="5")) == list(range(6, head + 1))
    assert ids(await api.read(session_id, "after=3", last_event_id="5")) == list(range(6, head + 1))
    assert ids(await api.read(session_id, "from=turn", last_event_id="5")) == list(range(6, head + 1))


async def test_from_turn_starts_with_the_running_turn(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    message = await api.start_turn(session_id, model="hang-700")

    async with api.stream(session_id, "from=turn") as stream:
        first = await stream.until("user_message")
        await api.cancel(session_id)
        frames = await stream.read_to_end()

    assert (frames[0], first.id) == (first, message["sequence"])
    assert {frame.data["turn_id"] for frame in frames[:-1]} == {message["turn_id"]}
    assert frames[-1].event == "done"


async def test_from_turn_without_a_turn_is_empty(api: Api) -> None:
    session_id = await api.new_session()

    assert (await api.http.get(f"/sessions/{session_id}/stream?from=turn")).status_code == 204
    await api.run_turn(session_id)
    assert (await api.http.get(f"/sessions/{session_id}/stream?from=turn")).status_code == 204


async def test_done_ends_a_stream_and_has_the_head(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    head = (await api.session(session_id))["head"]

    frames = await api.read(session_id, "types=run.complete")

    assert frames[-1] == Frame(head, "done", frames[-1].text)
    end = {"session_id": session_id, "head": head, "incarnation": frames[-1].incarnation, "reason": "finished"}
    assert frames[-1].data == end


@pytest.mark.parametrize("beyond", [0, 1, 10**9])
async def test_a_stream_from_the_end_of_a_finished_session_is_a_204(api: Api, beyond: int) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    cursor = (await api.session(session_id))["head"] + beyond

    by_query = await api.http.get(f"/sessions/{session_id}/stream?after={cursor}")
    by_header = await api.http.get(f"/sessions/{session_id}/stream", headers={"last-event-id": str(cursor)})

    assert (by_query.status_code, by_query.content) == (204, b"")
    assert (by_header.status_code, by_header.headers["x-session-id"]) == (204, session_id)


async def test_a_client_can_open_the_stream_before_it_posts(api: Api) -> None:
    session_id = await api.new_session()
    async with api.stream(session_id) as stream:
        await stream.until("session.created")

        message = await api.run_turn(session_id)
        frames = await stream.read_to_end()

    assert text_of(frames) == message["answer"]
    assert names(frames)[-2:] == ["run.complete", "done"]


async def test_a_cursor_beyond_the_end_means_from_now(api: Api) -> None:
    session_id = await api.new_session()
    async with api.stream(session_id, "after=999") as stream:
        message = await api.run_turn(session_id)
        frames = await stream.read_to_end()

    assert ids(frames)[0] == message["sequence"]
    assert frames[-1].event == "done"


async def test_follow_continues_with_later_turns(api: Api) -> None:
    session_id = await api.new_session()
    async with api.stream(session_id, "follow=true") as stream:
        first = await api.run_turn(session_id)
        await stream.until("run.complete")
        second = await api.run_turn(session_id)
        end = await stream.until("run.complete")
        frames = list(stream.seen)
        await api.http.delete(f"/sessions/{session_id}")
        await stream.read_to_end()

    assert "done" not in names(frames)
    assert ids(frames) == list(range(1, len(frames) + 1))
    assert end.data["message_id"] == second["message_id"] != first["message_id"]
    assert names(stream.seen)[-2:] == ["session.deleted", "done"]
    assert stream.seen[-1].data["reason"] == "deleted"


async def test_follow_at_the_end_of_a_finished_session_waits(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    head = (await api.session(session_id))["head"]

    async with api.stream(session_id, f"follow=true&after={head}") as stream:
        assert stream.response.status_code == 200
        await api.append(session_id, {"event_type": "later"})
        frame = await stream.until("later")

    assert (frame.id, len(stream.seen)) == (head + 1, 1)


async def test_a_stream_continues_while_messages_wait(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-701")
    await api.start_turn(session_id)

    async with api.stream(session_id) as stream:
        await stream.until("message.queued")
        await api.cancel(session_id)
        frames = await stream.read_to_end()

    assert names(frames).count("run.complete") == 2
    assert names(frames).count("done") == 1


async def test_the_same_stream_is_under_api(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)

    plain = await api.http.get(f"/sessions/{session_id}/stream?after=2")
    under_api = await api.http.get(f"/api/sessions/{session_id}/stream?after=2")

    assert under_api.status_code == 200
    assert under_api.text == plain.text


async def test_several_readers_see_the_same_at_their_own_pace(api: Api) -> None:
    session_id = await api.new_session()
    async with api.stream(session_id) as early, api.stream(session_id, "format=envelope") as other:
        message = await api.run_turn(session_id, model="fake-100-1")
        late = await api.read(session_id)
        frames = [await early.read_to_end(), late, await other.read_to_end()]

    assert ids(frames[0]) == ids(frames[1]) == ids(frames[2]) == list(range(1, len(late)))
    assert text_of(frames[0]) == text_of(frames[1]) == message["answer"]


@pytest.mark.parametrize("query", ["follow=perhaps", "format=xml", "from=start", "after=x", "after=-1"])
async def test_an_invalid_stream_query_is_refused(api: Api, query: str) -> None:
    session_id = await api.new_session()

    refusal(await api.http.get(f"/sessions/{session_id}/stream?{query}"), 422, "invalid_request")
    refusal(
        await api.http.get(f"/sessions/{session_id}/stream", headers={"last-event-id": "x"}), 422, "invalid_request"
    )


async def test_resuming_after_any_event_loses_and_repeats_nothing(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, 'call calculate {"expression": "2+3"}', model="fake-40-1")
    whole = await api.read(session_id)

    resumed = await asyncio.gather(*(api.read(session_id, f"after={sequence}") for sequence in range(len(whole) - 1)))

    for sequence, frames in enumerate(resumed):
        assert frames == whole[sequence:]


@pytest.mark.parametrize("seed", range(4))
async def test_readers_that_reconnect_anywhere_lose_and_repeat_nothing(api: Api, seed: int) -> None:
    # Four readers of a running turn. Each of their connections breaks after a few bytes.
    rng = random.Random(seed)
    session_id = await api.new_session()
    message = await api.start_turn(session_id, "tell me", model="fake-120-3")

    readers = await asyncio.gather(*(dropping_reader(api, session_id, random.Random(rng.random())) for _ in range(4)))

    answer = (await api.message(message["message_id"]))["answer"]
    log = [event["sequence"] for event in await api.events(session_id)]
    for frames in readers:
        assert ids(frames) == log
        assert text_of(frames) == answer


async def dropping_reader(api: Api, session_id: str, rng: random.Random) -> list[Frame]:
    """The frames that a reader receives over many connections, each of which it drops after some bytes."""
    frames: list[Frame] = []
    while not frames or frames[-1].event != "done":
        cursor = {"last_event_id": str(frames[-1].id)} if frames else {}
        async with api.stream(session_id, **cursor) as stream:
            if stream.response.status_code == 204:  # only `done` was lost
                return frames
            received, max_bytes = b"", rng.randrange(3000)
            async for piece in stream.response.aiter_bytes():
                received += piece
                if len(received) > max_bytes:
                    break
        # A frame that was cut off does not count as received. An EventSource does the same.
        frames += complete_frames(received[:max_bytes] if len(received) > max_bytes else received)
    return frames


def complete_frames(received: bytes) -> list[Frame]:
    frames: list[Frame] = []
    *blocks, _ = received.decode(errors="ignore").split("\n\n")
    for block in blocks:
        parts = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
        fields = {name: value for name, _, value in parts}
        if "data" in fields:
            frames.append(Frame(int(fields["id"].partition("-")[0]), fields.get("event"), fields["data"]))
    return frames


async def test_readers_that_never_read_delay_nobody(api: Api) -> None:
    session_id = await api.new_session()
    async with asyncio.TaskGroup() as group:
        opened = [api.stream(session_id) for _ in range(20)]
        streams = [await stream.__aenter__() for stream in opened]

        message = group.create_task(api.run_turn(session_id, model="fake-3000-0"))
        assert (await message)["status"] == "completed"

        for stream in opened:
            await stream.__aexit__(None, None, None)
    assert len(streams) == 20


async def test_a_stream_of_a_deleted_session_ends_with_the_deletion(api: Api) -> None:
    session_id = await api.new_session()
    async with api.stream(session_id) as stream:
        await stream.until("session.created")
        await api.http.delete(f"/sessions/{session_id}")
        frames = await stream.read_to_end()

    assert names(frames) == ["session.created", "session.deleted", "done"]
    assert (frames[-1].data["head"], frames[-1].data["reason"]) == (2, "deleted")
    refusal(await api.http.get(f"/sessions/{session_id}/stream"), 404, "session_not_found")
    assert ok(await api.http.get(f"/sessions/{session_id}/status"))["status"] == "not_existent"


@pytest.mark.parametrize("path", ["stream?after={}", "events?after={}", "events?before={}"])
async def test_a_cursor_of_another_incarnation_is_gone(api: Api, path: str) -> None:
    session_id = await api.new_session()
    await api.append(session_id, {"event_type": "session_stop"})
    frames = await api.read(session_id)
    current = frames[-1].cursor
    assert current == f"2-{frames[-1].incarnation}"

    for cursor, status in ((current, {200, 204}), ("1", {200, 204}), ("1-before", {410}), ("1-", {422}), ("-1", {422})):
        response = await api.http.get(f"/sessions/{session_id}/{path.format(cursor)}")
        assert response.status_code in status, cursor
    refusal(await api.http.get(f"/sessions/{session_id}/{path.format('1-before')}"), 410, "cursor_gone")


async def test_a_reader_from_before_a_restore_is_refused(api: Api) -> None:
    session_id = await api.new_session()

    response = await api.http.get(f"/sessions/{session_id}/stream", headers={"last-event-id": "1-before"})
    rooms = await api.http.get("/stream?after=1-before")

    refusal(response, 410, "cursor_gone")
    refusal(rooms, 410, "cursor_gone")
