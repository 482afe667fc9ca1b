"""What the API's description says of a handler: declared above it, read when the description is first asked for."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from shared.api.edge.parameters import Parameter
from shared.domain.errors import TurnlogError

Handler = TypeVar("Handler", bound=Callable[..., Any])

_MARK = "__description__"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Answer:
    """One way a handler answers. `model` is the type of the body: JSON has its schema, other media their example."""

    status: int
    says: str
    model: Any = None
    _: KW_ONLY
    headers: Sequence[Parameter] = ()
    media_type: str = JSON
    example: Any = None


@dataclass(frozen=True)
class Description:
    """What a handler takes, reads, answers and refuses. `takes` is the type of the body.

    Of `scopes` the caller has to have one, where its token says which it has; without any, those of the method hold.
    """

    answers: Sequence[Answer]
    takes: Any
    reads: Sequence[Parameter]
    refuses: Sequence[type[TurnlogError]]
    is_open: bool
    is_deprecated: bool
    scopes: Sequence[str]


def describes(
    *answers: Answer,
    takes: Any = None,
    reads: Sequence[Parameter] = (),
    refuses: Sequence[type[TurnlogError]] = (),
    is_open: bool = False,
    is_deprecated: bool = False,
    scopes: Sequence[str] = (),
) -> Callable[[Handler], Handler]:
    """Describe a handler beyond its docstring and route. `is_open`: whoever calls needs no account.

    What every handler may answer is not repeated: a body's and a parameter's refusals, 401, 403, 500, 503.
    """

    def mark(handler: Handler) -> Handler:
        # An attribute, since that is what functools.wraps hands on to the functions around it.
        vars(handler)[_MARK] = Description(answers, takes, reads, refuses, is_open, is_deprecated, scopes)
        return handler

    return mark


def description_of(handler: Callable[..., Any]) -> Description | None:
    return vars(handler).get(_MARK)
