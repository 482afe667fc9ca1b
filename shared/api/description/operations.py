"""The operations of the API: routes, docstrings, and what stands above the handlers, brought together."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.api import (
    agents,
    events,
    flat_events,
    health,
    messages,
    project_sessions,
    projects,
    queue,
    reference,
    rooms,
    sessions,
    signalr,
    tool_calls,
)
from shared.api.description.describes import Description, description_of
from shared.api.edge.problems import MalformedJsonError, UnsupportedMediaTypeError
from shared.domain.errors import (
    ForbiddenError,
    IdentityUnavailableError,
    InvalidRequestError,
    StoreUnavailableError,
    TooLargeError,
    TurnlogError,
    UnauthenticatedError,
)

RESOURCES: tuple[ModuleType, ...] = (
    sessions,
    signalr,
    messages,
    tool_calls,
    queue,
    events,
    flat_events,
    projects,
    project_sessions,
    rooms,
    agents,
    health,
    reference,
)
"""What the app serves over HTTP, each module's `bp`; add one here."""

_OF_BODIES = (MalformedJsonError, UnsupportedMediaTypeError, TooLargeError, InvalidRequestError)
_ANYWHERE = (UnauthenticatedError, ForbiddenError, IdentityUnavailableError, StoreUnavailableError)


@dataclass(frozen=True)
class Operation:
    """One method of one route. `tag` is the module it stands in."""

    method: str
    path: str
    name: str
    summary: str
    details: str
    tag: str
    description: Description

    @property
    def path_parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def refusals(self) -> list[type[TurnlogError]]:
        """Everything it may refuse with, each once."""
        own = self.description
        if own.is_open:
            return list(own.refuses)
        of_body = _OF_BODIES if own.takes is not None else ()
        of_parameters = (InvalidRequestError,) if any(each.is_checked for each in own.reads) else ()
        return list(dict.fromkeys([*of_body, *of_parameters, *own.refuses, *_ANYWHERE]))


def operations() -> Iterator[Operation]:
    """Every operation of the API, resource by resource."""
    for module in RESOURCES:
        # An app of its own: a blueprint can't be asked what it holds, and the real app only once.
        app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
        app.register_functions(module.bp)
        for function in app.get_functions():
            yield from _operations(function, tag_of(module))


def tag_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].replace("_", " ")


def _operations(function: Any, tag: str) -> Iterator[Operation]:
    handler, trigger = function.get_user_function(), function.get_trigger().get_dict_repr()
    description = description_of(handler)
    if description is None:
        return
    summary, _, details = (handler.__doc__ or "").strip().partition("\n\n")
    texts = (" ".join(summary.split()), re.sub(r"\n +", "\n", details).strip())
    for method in trigger["methods"]:
        yield Operation(str(method), f"/{trigger['route']}", handler.__name__, *texts, tag, description)
