"""The schemas of the API description, built from the shapes and the events, under the names of their types."""

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from turnlog.api.shapes.events import PRIVATE_FIELDS
from turnlog.domain.content import SentPart
from turnlog.domain.events import DELTA_TYPES, EVENT_TYPES, MessageQueued, Outside, SessionUpdated, UserMessage

Schema: TypeAlias = dict[str, Any]
Use: TypeAlias = tuple[JsonSchemaMode, Any]
"""A type in a request (`validation`) or in an answer (`serialization`)."""

_REF = "#/components/schemas/"
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_SEQUENCE: Schema = {"type": "integer", "minimum": 1, "description": "its position in the session's log: 1, 2, 3 …"}


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
        described.pop("default", None)  # generated clients would require the field
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
        components |= _events(kinds)
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
        "required": [*(name for name in fields if name in schema["required"]), *also, "session_id"],
    }


def event_name(kind: type[BaseModel]) -> str:
    """The name of the schema of a whole event, which has the data `kind`."""
    return f"{kind.__name__}Event"


def _events(kinds: Sequence[type[BaseModel]]) -> dict[str, Schema]:
    """The schemas of whole events, as `entry_view` returns them: one for each type, and one for outside events."""
    about = (
        "One recorded fact: an event of this service, or one from outside, which has `origin`. An outside event may "
    )
    about += "have a type of this service's: look at `origin` first. Later releases add types: ignore unknown ones."
    own = "An event of this service: its `type` says what `data` is."
    mapping = {type_name(kind): _REF + event_name(kind) for kind in kinds}
    return {
        "Event": {"description": about, "anyOf": [reference("RecordedOutsideEvent"), reference("ServiceEvent")]},
        "ServiceEvent": {
            "description": own,
            "oneOf": [reference(event_name(kind)) for kind in kinds],
            "discriminator": {"propertyName": "type", "mapping": mapping},
        },
        "RecordedOutsideEvent": _outside_event(),
        **{event_name(kind): _event(kind) for kind in kinds},
    }


def _event(kind: type[BaseModel]) -> Schema:
    name = type_name(kind)
    fields = _envelope({"type": "string", "enum": [name]}, _TIME, reference(kind.__name__))
    first = {"type": "integer", "minimum": 1, "description": "of a joined delta: the first sequence that it covers"}
    also = {"first_sequence": first} if name in DELTA_TYPES else {}
    return {"type": "object", "properties": fields | also, "required": [*fields]}


def _outside_event() -> Schema:
    """An outside event: the fields that were sent are at the top level too, and in `data`."""
    sent = {"description": "the value that the producer sent, otherwise `recorded_at`"}
    fields = _envelope(_TEXT, sent, {"type": "object", "additionalProperties": True})
    fields |= {"event_type": _TEXT, "origin": {"type": "string", "enum": ["outside"]}, "recorded_at": _TIME}
    about = "An event of another producer. All fields that were sent are beside these, and in `data`."
    required = [*fields]
    return {"description": about, "type": "object", "properties": fields, "required": required}


def _envelope(kind: Schema, timestamp: Schema, data: Schema) -> Schema:
    return {
        "sequence": _SEQUENCE,
        "type": kind,
        "session_id": _TEXT,
        "turn_id": _TEXT_OR_NULL,
        "message_id": _TEXT_OR_NULL,
        "trace_id": _TEXT_OR_NULL,
        "timestamp": timestamp,
        "data": data,
    }


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
