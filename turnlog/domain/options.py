"""Options of model calls: what a deployment or an agent adds to the requests to the model's server."""

import re
from collections.abc import Mapping
from typing import Any

RESERVED = frozenset({"model", "messages", "input", "instructions", "tools", "stream", "n", "store", "background"})
"""Fields that the app fills in itself, or whose answers it could not read."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


def check_options(options: Mapping[str, Any]) -> None:
    """Raise ValueError if `options` have a reserved field. The text continues the name of what was set."""
    if reserved := sorted(RESERVED & options.keys()):
        raise ValueError(f"may not have {', '.join(reserved)}: the app sets these itself")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ValueError if `headers` can't be sent. The text continues the name of what was set."""
    for header, value in headers.items():
        if not _HEADER_NAME.fullmatch(header) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"has the header {header!r}, which can't be sent: names and values are ASCII")
