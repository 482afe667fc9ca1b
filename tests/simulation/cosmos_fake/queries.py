"""The part of Cosmos DB's SQL that the stores use. What it does not know it refuses."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]
Parameters: TypeAlias = dict[str, Any]
Condition: TypeAlias = Callable[[Item, Parameters], bool]

_MISSING = object()
_QUERY = re.compile(
    r"SELECT (?:TOP (?P<top>\d+) )?(?P<fields>.+?) FROM c(?: WHERE (?P<where>.+?))?(?: ORDER BY (?P<order>.+))?"
)
_FIELD = re.compile(r"c\.(\w+)")
_COMPARISON = re.compile(r"c\.(\w+) (=|!=|<|<=|>|>=) (\S+)")
_CONTAINS = re.compile(r"ARRAY_CONTAINS\(c\.(\w+), (@\w+)\)")
_DEFINED = re.compile(r"(NOT )?IS_DEFINED\(c\.(\w+)\)")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class UnknownQueryError(Exception):
    """The query uses what this fake does not know."""


@dataclass(frozen=True)
class Query:
    """A parsed query. Without `fields` it selects whole items. `order`: fields, and whether each is descending."""

    fields: Sequence[str]
    conditions: Sequence[Condition]
    order: Sequence[tuple[str, bool]]
    top: int | None

    def run(self, items: Iterator[Item], parameters: Parameters) -> list[Item]:
        """The selected items. As in the service, an item without a field that orders is left out."""
        found = [item for item in items if all(holds(item, parameters) for holds in self.conditions)]
        found = [item for item in found if all(field in item for field, _ in self.order)]
        for field, is_descending in reversed(self.order):
            found.sort(key=lambda item, field=field: item[field], reverse=is_descending)
        found = found[: self.top]
        if self.fields:
            return [{field: item[field] for field in self.fields if field in item} for item in found]
        return [dict(item) for item in found]


@cache
def parse(text: str) -> Query:
    """Parse `text`.

    Raises:
        UnknownQueryError: it is not in this subset.
    """
    match = _QUERY.fullmatch(text)
    if match is None:
        raise UnknownQueryError(text)
    fields = () if match["fields"] == "*" else tuple(_field(each) for each in match["fields"].split(", "))
    conditions = [_condition(each) for each in (match["where"] or "").split(" AND ") if each]
    order = [_order(each) for each in (match["order"] or "").split(", ") if each]
    return Query(fields, conditions, order, None if match["top"] is None else int(match["top"]))


def _field(text: str) -> str:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise UnknownQueryError(text)
    return match[1]


def _order(text: str) -> tuple[str, bool]:
    name, _, direction = text.partition(" ")
    if direction not in {"", "ASC", "DESC"}:
        raise UnknownQueryError(text)
    return _field(name), direction == "DESC"


def _condition(text: str) -> Condition:
    if match := _COMPARISON.fullmatch(text):
        return _comparison(match[1], match[2], match[3])
    if match := _CONTAINS.fullmatch(text):
        field, name = match[1], match[2]
        return lambda item, parameters: parameters[name] in item.get(field, ())
    if match := _DEFINED.fullmatch(text):
        expected, field = match[1] is None, match[2]
        return lambda item, _: (field in item) is expected
    raise UnknownQueryError(text)


def _comparison(field: str, sign: str, operand: str) -> Condition:
    compare, value = _OPERATORS[sign], _literal(operand)

    def holds(item: Item, parameters: Parameters) -> bool:
        left = item.get(field, _MISSING)
        right = parameters[operand] if value is _MISSING else value
        # The service compares only values of one type; a number is never less than a text.
        return left is not _MISSING and _kind(left) == _kind(right) and compare(left, right)

    return holds


def _literal(operand: str) -> Any:
    if operand.startswith("@"):
        return _MISSING
    if operand in {"true", "false"}:
        return operand == "true"
    try:
        return float(operand)
    except ValueError:
        raise UnknownQueryError(operand) from None


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
