"""Strict building, tolerant reading: what a later release has stored is kept, and a typo of this one is an error.

Both are validated by the same models. The context of a validation says which one it is: `FROM_STORE` keeps unknown
fields and unknown values, and without it they are errors. What is known costs the same in both.
"""

from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, ValidationError, core_schema

FROM_STORE: Final = "from store"
"""The context for JSON that a store returned, which another release may have written."""

M = TypeVar("M", bound=BaseModel)


def load(model: type[M], text: str) -> M:
    """The value in stored JSON; what this release does not know is kept in it, and is written back with it.

    Raises:
        ValidationError: it cannot be read even so.
    """
    return model.model_validate_json(text, context=FROM_STORE)


def is_from_store(info: ValidationInfo) -> bool:
    return info.context is FROM_STORE


def _keep_field(value: Any, info: ValidationInfo) -> Any:
    if is_from_store(info):
        return value
    raise PydanticCustomError("extra_forbidden", "Extra inputs are not permitted")


UnknownField = Annotated[Any, PlainValidator(_keep_field), WithJsonSchema({})]
"""The type of the fields that a model does not have."""


class _Open:
    """Marks literals to which a later release may add values."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Output as any value, because pydantic would warn of one that is none of the literals.
        output = core_schema.simple_ser_schema("any")
        return core_schema.with_info_wrap_validator_function(_keep_value, handler(source), serialization=output)


def _keep_value(value: Any, validate: core_schema.ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    try:
        return validate(value)
    except ValidationError:
        if is_from_store(info) and isinstance(value, str):
            return value
        raise


OPEN: Final = _Open()
