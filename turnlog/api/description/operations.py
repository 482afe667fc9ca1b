"""The operations of the API: each joins a route, the handler's docstring, and what `@describes` says above it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from turnlog.api.description.describes import Description, description_of
from turnlog.api.edge.problems import IncompleteBodyError, MalformedJsonError, UnsupportedMediaTypeError
from turnlog.domain.errors import (
    ForbiddenError,
    IdentityUnavailableError,
    InvalidRequestError,
    RateLimitedError,
    SessionNotFoundError,
    SessionUnreadableError,
    StoreUnavailableError,
    TooLargeError,
    TurnlogError,
    UnauthenticatedError,
)

_BODY_ERRORS = (MalformedJsonError, IncompleteBodyError, UnsupportedMediaTypeError, TooLargeError, InvalidRequestError)
_COMMON_ERRORS = (
    UnauthenticatedError,
    ForbiddenError,
    RateLimitedError,
    IdentityUnavailableError,
    StoreUnavailableError,
)


@dataclass(frozen=True)
class Operation:
    """One method of one route. `tag` is the module of its handler."""

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
    def errors(self) -> list[type[TurnlogError]]:
        """Every error that it may answer with, each once."""
        own = self.description
        if own.is_public:
            return list(own.refuses)
        of_body = _BODY_ERRORS if own.takes is not None else ()
        of_parameters = (InvalidRequestError,) if any(each.is_checked for each in own.reads) else ()
        reads_session = SessionNotFoundError in own.refuses and self.method != "DELETE"
        of_session = (SessionUnreadableError,) if reads_session else ()
        return list(dict.fromkeys([*of_body, *of_parameters, *own.refuses, *of_session, *_COMMON_ERRORS]))


def operations(resources: Sequence[ModuleType]) -> Iterator[Operation]:
    """Every operation of the API, resource by resource."""
    for module in resources:
        # A separate app for each: a blueprint does not list its functions, and the real app lists them only once.
        app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
        app.register_functions(module.bp)
        for function in app.get_functions():
            yield from _operations_of(function, tag_of(module))


def tag_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].replace("_", " ")


def _operations_of(function: Any, tag: str) -> Iterator[Operation]:
    handler, trigger = function.get_user_function(), function.get_trigger().get_dict_repr()
    description = description_of(handler)
    if description is None:
        return
    summary, _, details = (handler.__doc__ or "").strip().partition("\n\n")
    texts = (" ".join(summary.split()), re.sub(r"\n +", "\n", details).strip())
    for method in trigger["methods"]:
        yield Operation(str(method), f"/{trigger['route'].lstrip('/')}", handler.__name__, *texts, tag, description)
