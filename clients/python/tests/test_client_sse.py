"""The parser of server-sent events."""

import pytest
from turnlog_client.protocol.sse import Frame, Retry, SseParser

STREAM = (
    "\ufeff: open\n\nid: 1\nevent: message.delta\ndata: „Grüße“ 🎈\u2028\n\n"
    "retry: 500\r\nid:2\r\ndata:a\r\ndata: b\r\n\r\rdata\r\r"
).encode()
FRAMES = [
    Frame("message.delta", "„Grüße“ 🎈\u2028", "1"),
    Retry(0.5),
    Frame("message", "a\nb", "2"),
    Frame("message", "", "2"),
]


def _parse(*pieces: bytes) -> list[Frame | Retry]:
    parser = SseParser()
    return [frame for piece in pieces for frame in parser.push(piece)]


@pytest.mark.parametrize("split", range(len(STREAM) + 1))
def test_a_stream_gives_the_same_frames_wherever_its_bytes_are_split(split: int) -> None:
    assert _parse(STREAM[:split], STREAM[split:]) == FRAMES


def test_a_stream_that_comes_byte_by_byte_gives_the_same_frames() -> None:
    assert _parse(*(bytes([byte]) for byte in STREAM)) == FRAMES


def test_a_frame_that_was_not_finished_is_not_reported() -> None:
    assert _parse(b"data: whole\n\ndata: half\n") == [Frame("message", "whole", "")]


def test_comments_unknown_fields_ids_with_a_null_and_waits_that_are_no_number_are_ignored() -> None:
    frames = _parse("id: 7\nid: 8\0\n: comment\nother: x\nretry: soon\nretry: ٣\ndata: y\n\n".encode())

    assert frames == [Frame("message", "y", "7")]
