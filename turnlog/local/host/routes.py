"""Routes as ASP.NET matches them: case and a trailing slash do not matter, the most literal route is first."""

import re
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

_PARAMETER = re.compile(r"\{(\w+)\}")


class RouteError(ValueError):
    """A route template that this host does not serve."""


class _Segment(NamedTuple):
    """A part of a template: a literal in lower case, or a parameter, which takes any text that is not empty."""

    literal: str | None
    name: str = ""

    def fits(self, text: str) -> bool:
        return bool(text) if self.literal is None else text.lower() == self.literal


class Match(NamedTuple, Generic[T]):
    """The target of a request, and the values in its path."""

    target: T
    params: dict[str, str]


class Route(Generic[T]):
    """A template with the methods that it answers (none named: all) and its target.

    Raises:
        RouteError: a segment is neither a literal nor a whole parameter without constraints.
    """

    def __init__(self, template: str, methods: frozenset[str], target: T) -> None:
        self.template = template.strip("/")
        self.methods = methods
        self.target = target
        self.segments = tuple(_segment(part) for part in self.template.split("/") if self.template)

    def params(self, path: list[str]) -> dict[str, str] | None:
        """Return the values in `path`, which has as many segments, or None when it does not match."""
        pairs = list(zip(self.segments, path, strict=True))
        if not all(segment.fits(text) for segment, text in pairs):
            return None
        return {segment.name: text for segment, text in pairs if segment.literal is None}


class Router(Generic[T]):
    """Finds the route of a request: the first that takes its path and its method."""

    def __init__(self, routes: list[Route[T]]) -> None:
        self._by_length: dict[int, list[Route[T]]] = {}
        for route in sorted(routes, key=lambda route: [segment.literal is None for segment in route.segments]):
            self._by_length.setdefault(len(route.segments), []).append(route)

    def find(self, method: str, path: list[str]) -> Match[T] | None:
        """Return the target for `method` and `path`, if there is one."""
        for route in self._by_length.get(len(path), ()):
            if route.methods and method not in route.methods:
                continue
            params = route.params(path)
            if params is not None:
                return Match(route.target, params)
        return None


def segments_of(raw_path: bytes) -> list[str] | None:
    """Split a path as it was sent into decoded segments, or return None for a path that Kestrel refuses.

    `%2F` stays as it is, because a decoded slash would look like a separator. Bytes that are not UTF-8 become
    replacement characters.
    """
    path = raw_path.decode("utf-8", "replace").removeprefix("/").removesuffix("/")
    if "%" not in path and "/." not in f"/{path}":
        return path.split("/") if path else []
    escaped = re.sub("%(?=2[fF])", "%25", path)
    parts = [unquote(part, errors="replace") for part in escaped.split("/")]
    if any("\0" in part for part in parts):
        return None
    return _without_dots(parts) if {".", ".."} & set(parts) else parts


def _without_dots(parts: list[str]) -> list[str]:
    resolved: list[str] = []
    for part in parts:
        if part == "..":
            del resolved[-1:]
        elif part != ".":
            resolved.append(part)
    return resolved


def _segment(text: str) -> _Segment:
    if "{" not in text and "}" not in text:
        return _Segment(text.lower())
    if found := _PARAMETER.fullmatch(text):
        return _Segment(None, found[1])
    raise RouteError(
        f"the local host does not serve the route segment {text!r}: a parameter is a whole segment, as in {{name}}"
    )
