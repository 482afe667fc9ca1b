"""The schemas of the API description, built from the shapes and the events, under the names of their types."""

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from shared.api.edge.parameters import INCARNATION
from shared.api.shapes.events import PRIVATE_FIELDS
from shared.domain.content import SentPart
from shared.domain.events import EVENT_TYPES, MessageQueued, Outside, SessionUpdated, UserMessage

Schema: TypeAlias = dict[str, Any]
Use: TypeAlias = tuple[JsonSchemaMode, Any]
"""A type in a request (`validation`) or in an answer (`serialization`)."""

_REF = "#/components/schemas/"
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


class _Generator(GenerateJsonSchema):
    """JSON Schema for clients: no titles that repeat names, and every field that is always sent is required."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
        return False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: FBT001  # pydantic's signature
    ) -> bool:
        if self.mode == "serialization" and field["type"] == "model-field":
            return "serialization_exclude_if" not in field
        return super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        described = super().default_schema(schema)
        if self.mode == "serialization" or described.get("default", "") is None:
            described.pop("default", None)
        return described

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        described = super().model_schema(schema)
        if self.mode == "serialization" and not issubclass(
            schema["cls"], SentPart
        ):  # later versions may send more fields
            described.pop("additionalProperties", None)
        return described


class Schemas:
    """The schemas of `uses`, and the `components` to which they and the events refer."""

    def __init__(self, uses: Sequence[Use]) -> None:
        kinds = event_types()
        inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
            *((_key(kind), mode, TypeAdapter[Any](kind)) for mode, kind in uses),
            *((_key(kind), "serialization", TypeAdapter[Any](kind)) for kind in kinds),
        ]
        found, definitions = TypeAdapter.json_schemas(
            inputs, ref_template=_REF + "{model}", schema_generator=_Generator
        )
        components: dict[str, Schema] = definitions["$defs"]
        components |= {kind.__name__: _event_data(kind, components[kind.__name__]) for kind in kinds}
        components |= {"Event": _event(kinds), "Frame": _frame(kinds)}
        self.components: dict[str, Schema] = _linked(dict(sorted(components.items())))
        self._found: dict[tuple[str, str], Schema] = {key: _linked(schema) for key, schema in found.items()}

    def of_request(self, kind: Any) -> Schema:
        return self._found[_key(kind), "validation"]

    def of_answer(self, kind: Any) -> Schema:
        return self._found[_key(kind), "serialization"]


def _key(kind: Any) -> str:
    """A key for a type: `list[MessageView]` and others have no name, and some can't be hashed."""
    return str(id(kind))


def reference(name: str) -> Schema:
    return {"$ref": _REF + name}


def event_types() -> list[type[BaseModel]]:
    """The types of events that this service itself appends."""
    return [kind for kind in EVENT_TYPES if kind is not Outside]


def type_name(kind: type[BaseModel]) -> str:
    return kind.model_fields["type"].default


def _event_data(kind: type[BaseModel], schema: Schema) -> Schema:
    """The data of an event in the form that `event_data` returns."""
    ids = {"session_id": _TEXT, "turn_id": _TEXT, "message_id": _TEXT}
    if kind is SessionUpdated:
        fields: Schema = {}
    else:
        fields = {name: field for name, field in schema["properties"].items() if name not in PRIVATE_FIELDS}
    text = {"type": "string", "description": "`content` as text, with a name for each picture or file"}
    also = {"text": text} if kind in {UserMessage, MessageQueued} else {}
    return {
        "title": type_name(kind),
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "properties": fields | also | ids,
        "required": [*fields, *also, "session_id"],
    }


def _event(kinds: Sequence[type[BaseModel]]) -> Schema:
    """The whole event in the form that `envelope` returns."""
    names = ", ".join(f"`{type_name(kind)}`" for kind in kinds)
    data = [reference(kind.__name__) for kind in kinds]
    fields: Schema = {
        "sequence": {"type": "integer", "minimum": 1, "description": "its position in the session's log: 1, 2, 3 …"},
        "type": {"type": "string", "description": f"{names}, or the type of an outside event"},
        "session_id": _TEXT,
        "turn_id": _TEXT_OR_NULL,
        "message_id": _TEXT_OR_NULL,
        "trace_id": _TEXT_OR_NULL,
        "timestamp": {"description": "RFC 3339; an outside event has the value that its producer sent, if any"},
        "data": {"anyOf": [*data, {"title": "outside event", "type": "object"}]},
    }
    about = "One recorded fact. An outside event also has the fields that were sent, and `event_type`, `origin` "
    about += "(`outside`) and `recorded_at`. Ignore types that you do not know."
    return {"title": "Event", "description": about, "type": "object", "properties": fields, "required": [*fields]}


def _frame(kinds: Sequence[type[BaseModel]]) -> Schema:
    """A frame of an event stream in the form that `event_frame` returns."""
    data = {"anyOf": [*(reference(kind.__name__) for kind in kinds), reference("Event"), {"type": "object"}]}
    fields: Schema = {
        "id": {"type": "string", "pattern": rf"^[0-9]+{INCARNATION}$", "description": "the cursor after the event"},
        "event": {"type": "string", "description": "the event's type, or `done`; absent with `format=envelope`"},
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
    }
    return {"title": "Frame", "description": "One frame of an event stream.", "type": "object", "properties": fields}


def _linked(value: Any) -> Any:
    """`value` with every `x-component` replaced by a reference to the component that it names."""
    match value:
        case {"x-component": str(name)}:
            return reference(name)
        case dict():
            return {key: _linked(item) for key, item in cast("Schema", value).items()}
        case list():
            return [_linked(item) for item in cast("list[Any]", value)]
        case _:
            return value
