"""Splits the bytes of an event stream into its frames, also where a server or a proxy does not keep to the standard."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from turnlog.domain.errors import ModelError

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""One frame of a stream may have this many bytes. A server that sends more is taken for broken."""

MAX_STREAM_BYTES = 256 * 1024 * 1024
"""One answer may have this many bytes as sent, with reasoning, tool calls and JSON around them."""

_MAX_UNFRAMED_BYTES = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_IGNORED = frozenset({b"", b"id", b"retry"})


class Frame(NamedTuple):
    """One event of a stream: its `data` lines, joined, and the name in its `event` line."""

    data: bytes
    event: bytes = b""


class FrameReader:
    """Reads frames from the packets of a stream, wherever those are cut.

    The standard is https://html.spec.whatwg.org/multipage/server-sent-events.html. Beyond it, a frame may lack the
    empty line behind it, and its `data` may be called `error`, as llama.cpp does.
    """

    def __init__(self) -> None:
        self._lines = _LineReader()
        self._data: list[bytes] = []
        self._event = b""
        self._unframed: list[bytes] = []
        self._unframed_bytes = 0
        self._frame_bytes = 0

    @property
    def unframed(self) -> str:
        """What was sent outside of any field: plain JSON from a server that does not stream, or a proxy's HTML."""
        return b"\n".join(self._unframed).decode(errors="replace").strip()

    def read(self, packet: bytes) -> Iterator[Frame]:
        """Yield the frames that `packet` completes.

        Raises:
            ModelError: the server sends more than an answer can be.
        """
        return self._frames(self._lines.read(packet))

    def finish(self) -> Iterator[Frame]:
        """Yield the last frame, which may lack its line end."""
        return self._frames((self._lines.finish(), b""))

    def _frames(self, lines: Iterable[bytes]) -> Iterator[Frame]:
        for line in lines:
            if line.startswith(b"data:"):
                value = line[5:]
                if self._data and self._is_next_frame(value):
                    yield self._end_frame()
                self._add(value)
            elif line:
                self._read_field(line)
            elif self._data:
                yield self._end_frame()
            else:
                self._event = b""

    def _add(self, value: bytes) -> None:
        self._data.append(value.removeprefix(b" "))
        self._frame_bytes += len(value)
        if self._frame_bytes > MAX_FRAME_BYTES:
            raise _too_much()

    def _end_frame(self) -> Frame:
        frame = Frame(self._data[0] if len(self._data) == 1 else b"\n".join(self._data), self._event)
        self._data, self._event, self._frame_bytes = [], b"", 0
        return frame

    def _is_next_frame(self, value: bytes) -> bool:
        """Whether a `data` line begins another frame though no empty line came before: no JSON holds `}` before `{`."""
        return value.lstrip().startswith((b"{", b"[DONE]")) and self._data[-1].rstrip().endswith(b"}")

    def _read_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"event":
            self._event = value.strip()
        elif name == b"error":
            self._event = b"error"
            self._add(value)
        elif name == b"data":  # without a colon
            self._add(value)
        elif name not in _IGNORED and self._unframed_bytes < _MAX_UNFRAMED_BYTES:
            self._unframed_bytes += len(line)
            self._unframed.append(line)


class _LineReader:
    """Splits packets into lines, which end with LF, CR LF or CR. A byte order mark before the first is left out."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._total_bytes = 0
        self._is_after_cr = False
        self._is_at_start = True

    def read(self, packet: bytes) -> list[bytes]:
        """Return the lines that `packet` completes."""
        self._total_bytes += len(packet)
        if b"\r" in packet or self._is_after_cr:
            packet = self._with_newlines(packet)
        lines = packet.split(b"\n")
        if self._rest and len(lines) > 1:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest, self._rest_bytes = [], 0
        if rest := lines.pop():
            self._rest.append(rest)  # a long line in small packets is joined once
            self._rest_bytes += len(rest)
        if self._rest_bytes > MAX_FRAME_BYTES or self._total_bytes > MAX_STREAM_BYTES:
            raise _too_much()
        if self._is_at_start and lines:
            self._is_at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def finish(self) -> bytes:
        """Return what no line end follows."""
        rest = b"".join(self._rest)
        return rest.removeprefix(_BOM) if self._is_at_start else rest

    def _with_newlines(self, packet: bytes) -> bytes:
        is_after_cr = packet.endswith(b"\r") or (self._is_after_cr and not packet)
        if self._is_after_cr:
            packet = packet.removeprefix(b"\n")
        self._is_after_cr = is_after_cr
        return packet.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _too_much() -> ModelError:
    return ModelError("model_broke_off", "The model's server sent more than an answer can be.", transient=False)
