"""Contents with pictures, sound and files: posted, read back everywhere, given to the model, refused."""

import json
from typing import Any

import pytest

from tests.domain.media import data_url, file, picture, picture_of, sound, text
from tests.http.api_client import JSON, Api, next_link, ok, refusal
from turnlog.local.rebuild import read_export, render

pytestmark = pytest.mark.anyio

ALL = [text(), picture(detail="low"), picture("https://example.com/a.png"), sound(), file(filename="a.pdf")]
ALL_AS_TEXT = "What is this?\n[picture]\n[picture]\n[sound]\n[file a.pdf]"
CONTENTS: list[list[JSON]] = [
    [text("one "), text("two")],
    [picture()],
    ALL,
    [text(), picture_of(1_000_000)],
    [text("wörter " * 9000), picture()],
]
NAMES = ["texts", "picture", "all", "large-picture", "large-text"]

INVALID: list[tuple[list[Any], str, str]] = [
    ([], "", "the message is empty"),
    ([text(" "), text("\n")], "", "the message is empty"),
    ([text("x")] * 65, "", "more than 64 parts"),
    ([text("x" * 200_000)] * 2, "", "the text is larger than 256 KB"),
    ([picture_of(524_288), picture_of(524_288)], "", "larger than 1024 KB"),
    ([text(), "x"], "/1", "should be an object"),
    ([text(), {"type": "video"}], "/1", "'video'"),
    ([{"type": "text"}], "/0/text", "required"),
    ([{"type": "image_url"}], "/0/image_url", "required"),
    ([picture("http://example.com/a.png")], "/0/image_url", "takes an https URL"),
    ([picture(data_url("image/png", b"GIF89a"))], "/0/image_url", "the data is not image/png"),
    ([picture(detail="?")], "/0/image_url/detail", "'auto', 'low' or 'high'"),
    ([{"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}], "/0/input_audio", "base64"),
    ([{"type": "file", "file": {}}], "/0/file", "one of file_data and file_id"),
    ([{"type": "file", "file": {"file_id": ""}}], "/0/file/file_id", "at least 1 character"),
]


async def event_of(api: Api, session_id: str, kind: str = "user_message") -> JSON:
    (event,) = [event for event in await api.events(session_id) if event["type"] == kind]
    return event


@pytest.mark.parametrize("content", CONTENTS, ids=NAMES)
async def test_a_content_is_returned_everywhere_as_it_was_sent(api: Api, content: list[JSON]) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, content)

    assert (message["content"], message["status"]) == (content, "completed")
    assert await api.message(message["message_id"]) == message
    assert ok(await api.http.get(f"/sessions/{session_id}/messages")) == [message]
    event = await event_of(api, session_id)
    (frame,) = [frame for frame in await api.read(session_id) if frame.event == "user_message"]
    assert event["data"] == frame.data
    assert event["data"].keys() == {"content", "client_id", "text", "session_id", "turn_id", "message_id"}
    assert event["data"]["content"] == content
    assert content[0].get("text", "[picture]") in event["data"]["text"]


async def test_the_text_of_a_content_names_its_pictures_sound_and_files(api: Api) -> None:
    session_id = await api.new_session()

    await api.run_turn(session_id, ALL)

    assert (await event_of(api, session_id))["data"]["text"] == ALL_AS_TEXT


async def test_the_model_gets_pictures_in_this_turn_and_in_later_ones(api: Api) -> None:
    session_id = await api.new_session()

    first = await api.run_turn(session_id, [text(), picture(), picture()], model="fake-40-0")
    second = await api.run_turn(session_id, "And now?", model="fake-40-0")

    assert "with 2 pictures" in first["answer"]
    assert "with 2 pictures" in second["answer"]


@pytest.mark.parametrize("content", CONTENTS, ids=NAMES)
async def test_an_export_has_the_content_and_is_enough_to_rebuild_it(api: Api, content: list[JSON]) -> None:
    session_id = await api.new_session()
    message = await api.run_turn(session_id, content)

    export = (await api.http.get(f"/sessions/{session_id}/export")).text

    (line,) = [json.loads(line) for line in export.splitlines() if '"user_message"' in line]
    assert line["data"]["content"] == content
    rebuilt = render(read_export(export.splitlines()))["messages"]
    assert [each.model_dump(mode="json") for each in rebuilt] == [message]


async def test_a_fork_has_the_content_also_once_its_source_is_deleted(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, ALL)
    fork_id = ok(await api.http.post(f"/sessions/{session_id}/fork", json={}), 201)["session_id"]
    await api.http.delete(f"/sessions/{session_id}")

    await api.run_turn(fork_id, "Go on")

    first, _ = ok(await api.http.get(f"/sessions/{fork_id}/messages"))
    assert first["content"] == ALL
    events = [event["data"]["content"] for event in await api.events(fork_id) if event["type"] == "user_message"]
    assert events == [ALL, "Go on"]


@pytest.mark.parametrize("on_busy", ["enqueue", "steer", "interrupt"])
async def test_a_message_with_a_picture_waits_and_steers_like_any_other(api: Api, on_busy: str) -> None:
    session_id = await api.new_session()
    content = [text(), picture_of(100_000)]
    async with api.post_stream(session_id, model="hang-801") as stream:
        await stream.until("message.start")
        waiting = await api.start_turn(session_id, content, on_busy=on_busy)
        queued = ok(await api.http.get(f"/sessions/{session_id}/queue"))
        if on_busy != "interrupt":
            await api.cancel(session_id)
    await api.wait_until_idle(session_id)

    assert waiting["content"] == content
    assert [message["content"] for message in queued] == ([] if on_busy == "steer" else [content])
    assert (await event_of(api, session_id, "message.queued"))["data"].items() >= {
        "content": content,
        "text": "What is this?\n[picture]",
        "on_busy": on_busy,
    }.items()
    entered = [event["data"] for event in await api.events(session_id) if event["type"] == "user_message"]
    assert [each["content"] for each in entered if each["message_id"] == waiting["message_id"]][-1] == content
    assert (await api.message(waiting["message_id"]))["status"] == "completed"


async def test_a_repeated_request_with_a_picture_finds_the_first_message(api: Api) -> None:
    session_id = await api.new_session()
    headers = {"idempotency-key": "picture"}

    first = await api.run_turn(session_id, ALL, headers=headers)

    assert await api.run_turn(session_id, ALL, headers=headers) == first
    refusal(await api.post(session_id, [text()], headers=headers), 422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("content", "pointer", "problem"),
    INVALID,
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_an_invalid_content_is_refused_by_its_pointer_and_nothing_is_written(
    api: Api, content: list[Any], pointer: str, problem: str
) -> None:
    session_id = await api.new_session()

    refused = refusal(await api.post(session_id, content), 422, "invalid_request")

    (error,) = refused["errors"]
    assert error["pointer"] == f"/content{pointer}"
    assert problem in error["detail"]
    assert (await api.session(session_id))["head"] == 1
    assert ok(await api.http.get(f"/sessions/{session_id}/messages")) == []


async def test_the_pointer_has_the_name_that_was_sent(api: Api) -> None:
    session_id = await api.new_session()

    for name in ("content", "prompt", "text"):
        response = await api.http.post(f"/sessions/{session_id}/messages", json={name: [{"type": "text"}]})
        assert refusal(response, 422, "invalid_request")["errors"][0]["pointer"] == f"/{name}/0/text"


async def test_a_body_larger_than_the_largest_message_is_refused(api: Api) -> None:
    session_id = await api.new_session()

    refusal(await api.post(session_id, [picture_of(1_400_000)]), 413, "too_large")

    assert (await api.session(session_id))["head"] == 1


async def test_pages_with_large_pictures_end_early_and_lose_nothing(api: Api) -> None:
    session_id = await api.new_session()
    contents = [[picture_of(1_000_000, mark=bytes([number]))] for number in range(10)]
    for content in contents:
        await api.run_turn(session_id, content, model="fake-1-0")

    listed: list[Any] = []
    sizes: list[int] = []
    url: str | None = f"/sessions/{session_id}/messages?limit=100"
    while url is not None:
        response = await api.http.get(url)
        sizes.append(len(ok(response)))
        listed += [message["content"] for message in ok(response)]
        url = next_link(response)

    assert listed == contents
    assert sizes == [1] * 10
    events = await api.events(session_id)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [event["data"]["content"] for event in events if event["type"] == "user_message"] == contents
    newest: list[Any] = []
    cursor = ""
    while cursor is not None:
        query = f"order=desc&types=user_message&limit=100{cursor and f'&before={cursor}'}"
        page = ok(await api.http.get(f"/sessions/{session_id}/events?{query}"))
        newest += [event["data"]["content"] for event in page["events"]]
        cursor = page["next_cursor"]
    assert newest == contents[::-1]
