"""Frames are read from a stream wherever its packets are cut, and whatever its lines end with."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import unhurried
from turnlog.domain.errors import ModelError
from turnlog.models import frames
from turnlog.models.frames import Frame, FrameReader

_lines = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8)
_events = st.sampled_from(["", "message", "ping", "response.created"])
_frames = st.lists(st.tuples(_events, st.lists(_lines, min_size=1, max_size=3)), max_size=4)


def read(*packets: bytes) -> list[Frame]:
    reader = FrameReader()
    return [*(frame for packet in packets for frame in reader.read(packet)), *reader.finish()]


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return (data[start:end] for start, end in pairwise(edges))


def encode(given_frames: Sequence[tuple[str, list[str]]], end: str) -> bytes:
    lines: list[str] = []
    for event, data in given_frames:
        lines += [f"event: {event}"] if event else []
        lines += [*(f"data: {line}" for line in data), ": a comment", ""]
    return "".join(line + end for line in lines).encode()


@unhurried
@given(_frames, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(min_value=0), max_size=12))
def test_any_cut_of_a_stream_gives_its_frames(
    given_frames: list[tuple[str, list[str]]], end: str, places: list[int]
) -> None:
    expected = [Frame("\n".join(data).encode(), event.encode()) for event, data in given_frames]

    # `}` before `{` begins a frame, which only JSON may rely on.
    found = read(*cut(encode(given_frames, end), places))

    assert b"\n".join(frame.data for frame in found) == b"\n".join(frame.data for frame in expected)
    if not any("}" in line for _, data in given_frames for line in data):
        assert found == expected


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a", [b"a"]),
        (b"data\n\n", [b""]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a", [b"a"]),
        (b": a comment\n\ndata: a\n\n", [b"a"]),
        (b"id: 1\nretry: 3\ndata: a\n\n", [b"a"]),
        (b"event: ping\n\ndata: a\n\n", [b"a"]),
        (b'data: {"a": {}}\ndata: {"b": 1}\n', [b'{"a": {}}', b'{"b": 1}']),
        (b'data: {"a": 1}\ndata: [DONE]\n', [b'{"a": 1}', b"[DONE]"]),
        (b'data: {\ndata: "a": {\ndata: }\ndata: }\n\n', [b'{\n"a": {\n}\n}']),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_lines_are_read_as_servers_mean_them(sent: bytes, found: list[bytes]) -> None:
    assert [frame.data for frame in read(sent)] == found


def test_an_error_line_is_an_error_event() -> None:
    assert read(b'error: {"code": 500}\n\n') == [Frame(b'{"code": 500}', b"error")]


def test_the_name_of_an_event_is_that_of_its_frame_alone() -> None:
    assert [frame.event for frame in read(b"event: a\n\nevent: b\ndata: 1\n\ndata: 2\n\n")] == [b"b", b""]


def test_what_is_sent_outside_of_fields_is_kept() -> None:
    reader = FrameReader()

    assert [*reader.read(b'{\n  "error": '), *reader.read(b'"busy"\n}'), *reader.finish()] == []
    assert reader.unframed == '{\n  "error": "busy"\n}'


@pytest.mark.parametrize("limit", ["MAX_FRAME_BYTES", "MAX_STREAM_BYTES"])
@pytest.mark.parametrize("packets", [[b"data: " + b"x" * 200], [b"data: " + b"x" * 30 + b"\n"] * 9, [b"x" * 30] * 9])
def test_a_server_that_sends_too_much_is_taken_for_broken(
    monkeypatch: pytest.MonkeyPatch, limit: str, packets: list[bytes]
) -> None:
    monkeypatch.setattr(frames, limit, 100)

    with pytest.raises(ModelError) as failure:
        read(*packets)

    assert not failure.value.transient


def test_a_stream_of_many_frames_is_not_one_large_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 100)

    assert len(read(*[b"data: " + b"x" * 60 + b"\n\n"] * 9)) == 9
