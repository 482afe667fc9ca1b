"""What happens to connections, and what HTTP allows."""

import asyncio
import gzip
import zlib
from collections.abc import Sequence

from tests.model_servers.answers import PLAIN, Body, answered, in_order, stream
from tests.model_servers.habit import Expected, Habit, failed, refused_at_once
from tests.model_servers.objects import BEGINNING, error, text
from tests.model_servers.server import Exchange, Head, Request

_TWICE = Expected(max_calls=2)
_HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_MOVED = "/moved/v1/chat/completions"


async def _reset(exchange: Exchange) -> None:
    exchange.reset()


async def _hang_up(exchange: Exchange) -> None:
    exchange.hang_up()


async def _hints(exchange: Exchange) -> None:
    await exchange.send(_HINTS)
    await PLAIN(exchange)


async def _continue(exchange: Exchange) -> None:
    await exchange.send(_CONTINUE)
    await PLAIN(exchange)


async def _garbage(exchange: Exchange) -> None:
    await exchange.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    exchange.hang_up()


async def _trailers(exchange: Exchange) -> None:
    await exchange.start(Head(headers={"content-type": "text/event-stream", "trailer": "x-checksum"}))
    await exchange.write(b"".join(_bytes_of_answer()))
    await exchange.send(b"0\r\nx-checksum: abc\r\n\r\n")


async def _extensions(exchange: Exchange) -> None:
    """Send chunks with extensions, and sizes in upper case with leading zeros."""
    await exchange.start(Head())
    for packet in _bytes_of_answer():
        await exchange.send(b"00%X;name=value\r\n%s\r\n" % (len(packet), packet))
    await exchange.end()


async def _too_short(exchange: Exchange) -> None:
    """Announce more bytes than are sent."""
    await exchange.start(Head(framing="length"), 10_000)
    await exchange.write(b"".join(_bytes_of_answer()[:1]))
    exchange.hang_up()


async def _closing(exchange: Exchange) -> None:
    """Close the connection some time after the answer, though HTTP/1.1 keeps it."""
    await PLAIN(exchange)
    await asyncio.sleep(0.05)
    exchange.hang_up()


async def _redirect(exchange: Exchange) -> None:
    moved = exchange.request.target == _MOVED
    await (PLAIN if moved else Body(307, "", {"location": _MOVED}))(exchange)


def _bytes_of_answer() -> Sequence[bytes]:
    return [packet for packet in answered().packets() if isinstance(packet, bytes)]


def _has_moved(requests: Sequence[Request]) -> str | None:
    return None if requests[-1].body == requests[0].body else "the request changed on its way"


HABITS = (
    Habit(
        "reset-first", "load balancers", "Breaks the connection before a byte.", in_order(_reset, answered()), _TWICE
    ),
    Habit(
        "hang-up-first",
        "load balancers",
        "Closes the connection before a byte.",
        in_order(_hang_up, answered()),
        _TWICE,
    ),
    Habit(
        "reset-after-head",
        "load balancers",
        "Breaks it after the head.",
        in_order(stream(end="reset"), answered()),
        _TWICE,
    ),
    Habit(
        "reset-later",
        "load balancers",
        "Breaks it in mid-answer.",
        in_order(stream(*text(BEGINNING), end="reset"), answered()),
        _TWICE,
    ),
    Habit(
        "hang-up-later",
        "proxies",
        "Closes it in mid-answer, inside its encoding.",
        in_order(stream(*text(BEGINNING), end="hang_up"), answered()),
        _TWICE,
    ),
    Habit(
        "reset-always",
        "load balancers",
        "Breaks it in mid-answer every time.",
        stream(*text(BEGINNING), end="reset"),
        failed("model_broke_off", "broke off", answer=BEGINNING),
    ),
    Habit(
        "fail-in-turns",
        "any",
        "Is busy, busy again, and then breaks off.",
        in_order(Body(503, error("busy")), Body(503, error("busy")), stream(*text(BEGINNING), end="hang_up")),
        failed("model_broke_off", answer=BEGINNING),
    ),
    Habit("too-short", "caches", "Announces more bytes than it sends.", in_order(_too_short, answered()), _TWICE),
    Habit("garbage", "firewalls", "Speaks another protocol.", _garbage, failed("model_broke_off")),
    Habit("closes-later", "small servers", "Closes each connection after its answer.", _closing),
    Habit(
        "closes-and-says-so", "small servers", "Sends `connection: close`.", answered(headers={"connection": "close"})
    ),
    Habit(
        "http-1-0",
        "small servers",
        "Speaks HTTP/1.0: the end of the connection ends the answer.",
        answered(framing="until_close", http="HTTP/1.0"),
    ),
    Habit("until-close", "small servers", "Ends the answer with the connection.", answered(framing="until_close")),
    Habit("length", "small servers", "Announces the length of the stream.", answered(framing="length")),
    Habit(
        "gzip",
        "gateways",
        "Compresses with gzip.",
        answered(headers={"content-encoding": "gzip"}, encode=gzip.compress),
    ),
    Habit(
        "gzip-packets",
        "gateways",
        "Cuts a compressed stream anywhere.",
        answered(headers={"content-encoding": "gzip"}, encode=gzip.compress, packet_bytes=5),
    ),
    Habit(
        "deflate",
        "gateways",
        "Compresses with deflate.",
        answered(headers={"content-encoding": "deflate"}, encode=zlib.compress),
    ),
    Habit(
        "gzip-not",
        "gateways",
        "Says gzip, and does not compress.",
        in_order(answered(headers={"content-encoding": "gzip"}), answered()),
        _TWICE,
    ),
    Habit("trailers", "gateways", "Sends trailers after the last chunk.", _trailers),
    Habit("chunk-extensions", "gateways", "Sends chunks with extensions.", _extensions),
    Habit("hints", "Cloudflare", "Sends a status 103 first.", _hints),
    Habit("continue", "IIS", "Sends a status 100 first.", _continue),
    Habit("moved-307", "gateways", "Sends the request elsewhere.", _redirect, _TWICE, find_problem=_has_moved),
    Habit(
        "moved-301",
        "http instead of https",
        "Answers 301, which would turn the request into a GET.",
        Body(301, "", {"location": "/plain/v1/models"}),
        refused_at_once("model_not_found"),
    ),
    Habit(
        "moved-in-circles",
        "gateways",
        "Sends the request back to itself.",
        Body(307, "", {"location": "/v1/chat/completions"}),
        failed("model_unreachable", max_calls=84),
    ),
)
