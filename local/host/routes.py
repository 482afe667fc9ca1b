"""Routes as ASP.NET matches them: without regard to case, a trailing slash ignored, the most literal route first."""

import re
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

_PARAMETER = re.compile(r"\{(?P<star>\*{0,2})(?P<name>\w+)(?P<rules>(?::[^{}]+?)*)(?P<optional>\?)?\}")
_RULE = re.compile(r":(\w+)(?:\(([^()]*)\))?")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_RULES: dict[str, Callable[[str, str], bool]] = {
    "int": lambda text, _: re.fullmatch(r"[+-]?\d{1,10}", text) is not None and -(2**31) <= int(text) < 2**31,
    "alpha": lambda text, _: re.fullmatch(r"[A-Za-z]*", text) is not None,
    "guid": lambda text, _: _GUID.fullmatch(text) is not None,
    "bool": lambda text, _: text.lower() in {"true", "false"},
    "minlength": lambda text, limit: len(text) >= int(limit),
    "maxlength": lambda text, limit: len(text) <= int(limit),
    "length": lambda text, limit: _within(len(text), limit),
}


class RouteError(ValueError):
    """A route template that this host cannot serve."""


class _Segment(NamedTuple):
    literal: str | None
    name: str
    rules: tuple[tuple[str, str], ...]
    optional: bool
    rest: bool

    @property
    def rank(self) -> int:
        """ASP.NET's precedence: literal, constrained parameter, parameter, constrained rest, rest."""
        if self.literal is not None:
            return 1
        return (4 if self.rest else 2) + (not self.rules)

    def fits(self, text: str) -> bool:
        if self.literal is not None:
            return text.lower() == self.literal
        return bool(text) and all(_RULES[rule](text, limit) for rule, limit in self.rules)


class Match(NamedTuple, Generic[T]):
    """The target of a request, and the values in its path."""

    target: T
    params: dict[str, str]


class Route(Generic[T]):
    """A template with the methods it answers to (none named: all) and what is behind it."""

    def __init__(self, template: str, methods: frozenset[str], target: T) -> None:
        self.template = template.strip("/")
        self.methods = methods
        self.target = target
        self.segments = tuple(_segment(part) for part in self.template.split("/") if part)
        if any(segment.optional or segment.rest for segment in self.segments[:-1]):
            raise RouteError(f"route {template!r}: only its last segment may be optional or the rest of the path")

    def params(self, path: list[str]) -> dict[str, str] | None:
        """Return the values in `path`, or None when it does not match."""
        segments = self.segments
        if segments and segments[-1].rest:
            head = len(segments) - 1
            path = [*path[:head], "/".join(path[head:])] if len(path) >= head else path
        missing = len(segments) - len(path)
        if missing not in {0, 1} or (missing == 1 and not (segments[-1].optional or segments[-1].rest)):
            return None
        found: dict[str, str] = {}
        for segment, text in zip(segments, path, strict=False):
            if not segment.fits(text) and not (segment.rest and not text):
                return None
            if segment.literal is None:
                found[segment.name] = text
        return found


class Router(Generic[T]):
    """Finds the route of a request; one that does not take the method gives way to the next that does."""

    def __init__(self, routes: list[Route[T]]) -> None:
        self._routes = sorted(routes, key=lambda route: [segment.rank for segment in route.segments])
        self._by_length: dict[int, list[Route[T]]] = {}

    def find(self, method: str, path: list[str]) -> Match[T] | None:
        """Return the target for `method` and `path`, if there is one."""
        for route in self._of_length(len(path)):
            if route.methods and method not in route.methods:
                continue
            params = route.params(path)
            if params is not None:
                return Match(route.target, params)
        return None

    def _of_length(self, length: int) -> list[Route[T]]:
        if length > 64:
            return self._routes
        if length not in self._by_length:
            self._by_length[length] = [route for route in self._routes if _can_have(route, length)]
        return self._by_length[length]


def segments_of(raw_path: bytes) -> list[str] | None:
    """Split a path as it was sent into decoded segments, or return None for one that Kestrel refuses.

    `%2F` stays as it is, since a decoded slash could not be told from a separator; bytes that are no UTF-8 become
    replacement characters.
    """
    path = raw_path.decode("utf-8", "replace").removeprefix("/").removesuffix("/")
    if "%" not in path and "/." not in f"/{path}":
        return path.split("/") if path else []
    kept = re.sub("%(?=2[fF])", "%25", path)
    parts = [unquote(part, errors="replace") for part in kept.split("/")]
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


def _can_have(route: Route[T], length: int) -> bool:
    longest = len(route.segments)
    last = route.segments[-1] if route.segments else None
    shortest = longest - 1 if last and (last.optional or last.rest) else longest
    return shortest <= length and (length <= longest or bool(last and last.rest))


def _segment(text: str) -> _Segment:
    if "{" not in text and "}" not in text:
        return _Segment(text.lower(), "", (), optional=False, rest=False)
    found = _PARAMETER.fullmatch(text)
    if not found:
        raise RouteError(f"the local host does not serve the route segment {text!r}")
    rules = tuple((rule, limit) for rule, limit in _RULE.findall(found["rules"]))
    unknown = [rule for rule, _ in rules if rule not in _RULES]
    if unknown:
        raise RouteError(f"the local host does not serve the route constraint {unknown[0]!r} in {text!r}")
    return _Segment(None, found["name"], rules, optional=bool(found["optional"]), rest=bool(found["star"]))


def _within(length: int, limit: str) -> bool:
    least, _, most = limit.partition(",")
    return int(least) <= length <= int(most or least)
