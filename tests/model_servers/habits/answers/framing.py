"""How the lines and packets of an event stream come."""

import json

from tests.model_servers.answers import PLAIN, answered, stream
from tests.model_servers.habit import PLAIN as PLAIN_NAME
from tests.model_servers.habit import Expected, Habit
from tests.model_servers.objects import DONE, PIECES, TEXT, USAGE, chunk, ending, text, with_choice

_ODD_CHARACTERS = "a\x00b\x01\x1f\x7f\u2028c"
_WITH_USAGE = Expected(usage=USAGE)
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def _over_several_lines(end: str) -> list[bytes]:
    """Return the answer's frames, each over as many `data` lines as its JSON has."""
    frames = [json.dumps(each, indent=1, ensure_ascii=False) for each in (*text(), chunk(reason="stop"))]
    lines = [f"data: {line}{end}" for frame in frames for line in (*frame.split("\n"), "")]
    return ["".join(lines).replace(f"data: {end}", end).encode(), f"data: {DONE}{end}{end}".encode()]


HABITS = (
    Habit(PLAIN_NAME, "OpenAI", "Streams as OpenAI does.", PLAIN, _WITH_USAGE),
    Habit("lines-crlf", "several", "Ends lines with CR LF.", answered(after_data="\r\n\r\n"), _WITH_USAGE),
    Habit("lines-cr", "the standard", "Ends lines with a bare CR.", answered(after_data="\r\r"), _WITH_USAGE),
    Habit("lines-no-space", "several", "Writes no space after `data:`.", answered(before_data="data:"), _WITH_USAGE),
    Habit(
        "lines-no-gap", "small servers", "Writes no empty line between frames.", answered(after_data="\n"), _WITH_USAGE
    ),
    Habit("packets-bytes", "proxies", "Sends every byte in its own packet.", answered(packet_bytes=1), _WITH_USAGE),
    Habit(
        "packets-seven", "proxies", "Cuts packets inside characters and lines.", answered(packet_bytes=7), _WITH_USAGE
    ),
    Habit("packets-one", "proxies", "Sends the whole stream in one packet.", answered(packet_bytes=10**6), _WITH_USAGE),
    Habit(
        "data-lines", "the standard", "Spreads a chunk over several `data` lines.", stream(*_over_several_lines("\n"))
    ),
    Habit(
        "data-lines-crlf",
        "the standard, behind a proxy",
        "Cuts the packets of such chunks between CR and LF.",
        stream(*_over_several_lines("\r\n"), packet_bytes=1),
    ),
    Habit("mark", "the standard", "Begins with a byte order mark.", stream(b"\xef\xbb\xbf", *text(), *ending())),
    Habit(
        "mark-cut",
        "proxies",
        "Begins with a byte order mark, cut in two packets.",
        stream(b"\xef\xbb\xbf", *text(), *ending(), packet_bytes=2),
    ),
    Habit(
        "comments",
        "OpenRouter",
        "Sends comments before and between frames.",
        stream(*(each for frame in text() for each in (b": OPENROUTER PROCESSING\n\n", frame)), *ending()),
        _WITH_USAGE,
    ),
    Habit(
        "fields",
        "gateways",
        "Sends `event`, `id` and `retry` lines.",
        stream(
            b"retry: 3000\n\n", *(each for frame in text() for each in (b"event: message\nid: 1\n", frame)), *ending()
        ),
    ),
    Habit(
        "ids-alone", "gateways", "Sends frames of an `id` alone.", stream(b"id: 1\n\n", *text(), b"id\n\n", *ending())
    ),
    Habit(
        "event-alone",
        "gateways",
        "Sends an event's name without data.",
        stream(b"event: error\n\n", *text(), *ending()),
    ),
    Habit(
        "heartbeat-empty",
        "gateways",
        "Sends empty `data` lines.",
        stream("", *text(), b"data:\n\n", b"data\n\n", *ending()),
    ),
    Habit(
        "heartbeat-object", "gateways", "Sends `ping` events whose data is no chunk.", stream(_PING, *text(), *ending())
    ),
    Habit(
        "heartbeat-message",
        "gateways",
        "Sends `ping` events with a message for people.",
        stream(b'event: ping\ndata: {"message": "still here"}\n\n', *text(), *ending()),
    ),
    Habit(
        "heartbeat-text",
        "gateways",
        "Sends `ping` events whose data is not JSON.",
        stream(b"event: ping\ndata: ping\n\n", *text(), *ending()),
    ),
    Habit(
        "heartbeat-bare",
        "gateways",
        "Sends heartbeats as plain data.",
        stream("ping", *text(), "[keep-alive]", *ending()),
    ),
    Habit(
        "last-line-open",
        "small servers",
        "Leaves out the line end of the last frame.",
        stream(*text(), f"data: {json.dumps(chunk(reason='stop'))}".encode()),
    ),
    Habit(
        "done-open",
        "small servers",
        "Leaves out the line end after `[DONE]`.",
        stream(*text(), chunk(), b"data: [DONE]"),
    ),
    Habit("done-lower-case", "small servers", "Writes `[done]`.", stream(*text(), chunk(reason="stop"), "[done]")),
    Habit("done-spaces", "small servers", "Writes spaces around `[DONE]`.", stream(*text(), chunk(), "   [DONE]  ")),
    Habit("done-quoted", "small servers", "Writes `[DONE]` as a JSON text.", stream(*text(), chunk(), '"[DONE]"')),
    Habit(
        "done-twice",
        "gateways",
        "Sends `[DONE]` twice, as a server and as a gateway.",
        stream(*text(), *ending(), DONE),
    ),
    Habit(
        "after-done",
        "gateways",
        "Sends a comment and its costs after `[DONE]`.",
        stream(*text(), *ending(), b": bye\n\n", {"cost": 0.1}),
        _WITH_USAGE,
    ),
    Habit(
        "type-binary",
        "small servers",
        "Names another content type.",
        answered(headers={"content-type": "application/octet-stream"}),
    ),
    Habit(
        "type-json",
        "gateways",
        "Names JSON as the content type of a stream.",
        answered(headers={"content-type": "application/json"}),
    ),
    Habit("type-none", "small servers", "Names an empty content type.", answered(headers={"content-type": ""})),
    Habit(
        "half-characters",
        "gateways in JavaScript",
        "Cuts a surrogate pair in two chunks.",
        stream(chunk({"content": "a\ud83d"}), chunk({"content": "\ude42b"}), *ending(), ascii=True),
        Expected(answer="a🙂b"),
    ),
    Habit(
        "half-character-alone",
        "gateways in JavaScript",
        "Sends half of a character, and never the other.",
        stream(chunk({"content": "a\ud83d"}), chunk({"content": "b"}), *ending(), ascii=True),
        Expected(answer="a\ufffdb"),
    ),
    Habit(
        "odd-characters",
        "any",
        "Sends U+0000, other control characters and U+2028.",
        answered(_ODD_CHARACTERS),
        Expected(answer=_ODD_CHARACTERS),
    ),
    Habit(
        "raw-tabs",
        "small servers",
        "Writes control characters into JSON as they are.",
        stream(b'data: {"choices": [{"index": 0, "delta": {"content": "a\tb"}}]}\n\n', *ending()),
        Expected(answer="a\tb"),
    ),
    Habit(
        "not-utf-8",
        "small servers",
        "Writes a text in Latin-1.",
        stream('data: {"choices": [{"index": 0, "delta": {"content": "Zoë"}}]}\n\n'.encode("latin-1"), *ending()),
        Expected(answer="Zo\ufffd"),
    ),
    Habit(
        "not-a-number",
        "vLLM",
        "Writes numbers that JSON does not have.",
        stream(
            *(with_choice(each, logprobs={"logprob": float("-inf"), "p": float("nan")}) for each in text()), *ending()
        ),
    ),
    Habit(
        "huge-frame",
        "any",
        "Sends an answer of 5 MB in one frame.",
        answered("x" * 5_000_000),
        Expected(answer="x" * 512 * 1024),
    ),
    Habit(
        "huge-frame-slowly",
        "any",
        "Sends a frame of 4 MB in packets of 1 KB.",
        answered("x" * 4_000_000, packet_bytes=1024),
        Expected(answer="x" * 512 * 1024),
    ),
    Habit("text-in-one", "caches", "Sends the whole text in one chunk.", answered(TEXT), _WITH_USAGE),
    Habit("text-by-letters", "any", "Sends every letter in a chunk.", answered(*"".join(PIECES)), _WITH_USAGE),
)
