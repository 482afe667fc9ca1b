"""What a model may know of a function: its description, its parameters, and what is wrong with them."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from turnlog.agents.context import ToolContext

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Signature:
    """A function, read once. `problems` is empty if a model can call it."""

    description: str
    arguments: type[BaseModel]
    takes_context: bool
    problems: tuple[str, ...]


class _ParameterError(Exception):
    """A model can't fill this parameter; the text says why."""


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read `function`. A parameter that has a problem accepts anything, so that all problems are found at once."""
    description = inspect.getdoc(function) or ""
    problems = [] if _NAME.fullmatch(name) else [f"the name {name!r} is not of A-Z a-z 0-9 _ -"]
    if not description:
        problems.append("it has no docstring, which is its description for the model")
    parameters = list(inspect.signature(function).parameters.values())
    takes_context = bool(parameters) and _is_context(parameters[0], function)
    fields: dict[str, Any] = {}
    for parameter in parameters[takes_context:]:
        try:
            annotation = _annotation_of(parameter, function)
        except _ParameterError as error:
            problems.append(f"parameter {parameter.name} {error}")
        else:
            fields[parameter.name] = (annotation, _default_of(parameter))
    arguments = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    return Signature(description, arguments, takes_context, tuple(problems))


def _is_context(parameter: inspect.Parameter, function: Callable[..., Any]) -> bool:
    try:
        return _resolve(parameter.annotation, function) is ToolContext
    except _ParameterError:
        return False


def _default_of(parameter: inspect.Parameter) -> Any:
    return ... if parameter.default is inspect.Parameter.empty else parameter.default


def _annotation_of(parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    """The type of a parameter. Raises _ParameterError: a model can't fill it."""
    if parameter.kind not in _NAMED:
        raise _ParameterError("can't be given by its name")
    if parameter.name.startswith("_") or parameter.name == "model_config":
        raise _ParameterError("needs another name: this one is not allowed")
    if parameter.annotation is inspect.Parameter.empty:
        raise _ParameterError("has no annotation")
    annotation = _resolve(parameter.annotation, function)
    if annotation is ToolContext:
        raise _ParameterError("is the ToolContext, which must be the first one")
    try:
        TypeAdapter(annotation).json_schema()
    except Exception as error:  # pydantic has many errors, and a type may raise its own
        shown = parameter.annotation if isinstance(parameter.annotation, str) else inspect.formatannotation(annotation)
        raise _ParameterError(f"has the annotation {shown}, which JSON can't describe") from error
    return annotation


def _resolve(annotation: Any, function: Callable[..., Any]) -> Any:
    """The type that an annotation names. Raises _ParameterError: nothing has this name."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(inspect.unwrap(function), "__globals__", {}))  # noqa: S307  # as Python does
    except Exception as error:
        raise _ParameterError(f"has the unknown annotation {annotation}") from error
