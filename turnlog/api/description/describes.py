"""What the API description says of a handler. It is declared above the handler, and read to build the description."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from turnlog.api.edge.parameters import Parameter
from turnlog.domain.errors import TurnlogError

Handler = TypeVar("Handler", bound=Callable[..., Any])

_ATTRIBUTE = "__description__"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Answer:
    """One way in which a handler answers. `model` is the type of the body: of JSON the schema is shown.

    Other media types show their example.
    """

    status: int
    description: str
    model: Any = None
    _: KW_ONLY
    headers: Sequence[Parameter] = ()
    media_type: str = JSON
    example: Any = None


@dataclass(frozen=True)
class Description:
    """What a handler takes (the type of the body), reads (parameters), answers, and refuses (errors).

    A caller whose token names scopes must have one of `scopes`; if there are none, the scope of the method decides.
    """

    answers: Sequence[Answer]
    takes: Any
    reads: Sequence[Parameter]
    refuses: Sequence[type[TurnlogError]]
    is_public: bool
    is_deprecated: bool
    takes_ticket: bool
    scopes: Sequence[str]


def describes(
    *answers: Answer,
    takes: Any = None,
    reads: Sequence[Parameter] = (),
    refuses: Sequence[type[TurnlogError]] = (),
    is_public: bool = False,
    is_deprecated: bool = False,
    takes_ticket: bool = False,
    scopes: Sequence[str] = (),
) -> Callable[[Handler], Handler]:
    """Describe a handler beyond its docstring and route. `is_public`: callers need no account. `takes_ticket`: a ticket
    may stand for their token.

    What every handler may answer is not repeated: 401, 403, 500, 503, and the errors of a body and of parameters.
    """

    def mark(handler: Handler) -> Handler:
        # An attribute, because functools.wraps copies attributes to the functions around the handler.
        vars(handler)[_ATTRIBUTE] = Description(
            answers, takes, reads, refuses, is_public, is_deprecated, takes_ticket, scopes
        )
        return handler

    return mark


def description_of(handler: Callable[..., Any]) -> Description | None:
    return vars(handler).get(_ATTRIBUTE)
