"""Parses Bicep files: their declarations and literal values. No package registry has a compiler."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_bicep.language()))


@dataclass(frozen=True)
class Expression:
    """A value that is known only in a deployment."""

    text: str


@dataclass(frozen=True)
class Declaration:
    """A resource or a module. `kind` is the type with its version, or the module's path.

    `exists`: it is created elsewhere. `conditional`: it may not be created.
    """

    kind: str
    body: Node
    exists: bool = False
    conditional: bool = False


@dataclass
class Template:
    root: Node
    broken: list[str] = field(default_factory=list[str])
    imports: dict[str, str] = field(default_factory=dict[str, str])
    """The file that each imported name comes from."""
    types: set[str] = field(default_factory=set[str])
    exported: set[str] = field(default_factory=set[str])
    params: dict[str, Node | None] = field(default_factory=dict[str, "Node | None"])
    """The default of each parameter, or None."""
    allowed: dict[str, Any] = field(default_factory=dict[str, Any])
    secure: set[str] = field(default_factory=set[str])
    variables: dict[str, Node] = field(default_factory=dict[str, Node])
    resources: dict[str, Declaration] = field(default_factory=dict[str, Declaration])
    modules: dict[str, Declaration] = field(default_factory=dict[str, Declaration])
    outputs: dict[str, Node] = field(default_factory=dict[str, Node])
    used: set[str] = field(default_factory=set[str])
    local: set[str] = field(default_factory=set[str])
    used_outputs: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Pairs of module and output, for example `storage.outputs.blobEndpoint`."""

    def value(self, node: Node) -> Any:
        """The value of a literal. Variables are resolved."""
        return _value(node, self.variables)

    @property
    def declared(self) -> set[str]:
        return {*self.imports, *self.types, *self.params, *self.variables, *self.resources, *self.modules}


def parse(text: str) -> Template:
    root = _PARSER.parse(text.encode()).root_node
    found = Template(root)
    broken = [node for node in nodes(root) if node.type == "ERROR" or node.is_missing]
    found.broken = [f"line {node.start_point.row + 1}: {text_of(node)[:60]!r}" for node in broken]
    for statement in root.named_children:
        _declare(found, statement)
    for node in nodes(root):
        _note_use(found, node)
    return found


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def members(body: Node) -> dict[str, Node]:
    """The properties of an object by name."""
    pairs = [child.named_children for child in body.named_children if child.type == "object_property"]
    return {text_of(pair[0]).strip("'"): pair[1] for pair in pairs if len(pair) == 2}


def property_paths(body: Node) -> set[str]:
    """The paths of all properties in `body`. Arrays, conditions and unions add nothing to a path."""
    return {path_of(node, body) for node in nodes(body) if node.type == "object_property"}


def path_of(node: Node | None, body: Node) -> str:
    names: list[str] = []
    while node is not None and node != body:
        if node.type == "object_property":
            key = node.named_children[0]
            names.append("*" if any(part.type == "interpolation" for part in nodes(key)) else text_of(key).strip("'"))
        node = node.parent
    return ".".join(reversed(names))


def text_of(node: Node) -> str:
    return (node.text or b"").decode()


def decorators(declaration: Node) -> Iterator[Node]:
    """The decorator calls before a declaration or a property."""
    previous = declaration.prev_named_sibling
    if previous is not None and previous.type == "decorators":
        yield from (node for node in nodes(previous) if node.type == "call_expression")


def _declare(found: Template, statement: Node) -> None:
    parts = statement.named_children
    match statement.type:
        case "import_functionality":
            found.imports |= {text_of(name): text_of(parts[-1]).strip("'") for name in parts[:-1]}
        case "type_declaration":
            found.types.add(text_of(parts[0]))
            found.exported |= {text_of(parts[0]) for call in decorators(statement) if text_of(call) == "export()"}
        case "parameter_declaration":
            found.params[text_of(parts[0])] = parts[2] if len(parts) > 2 else None
            found.allowed |= {text_of(parts[0]): allowed for allowed in _allowed(statement)}
            found.secure |= {text_of(parts[0]) for call in decorators(statement) if text_of(call) == "secure()"}
        case "variable_declaration":
            found.variables[text_of(parts[0])] = parts[1]
        case "output_declaration":
            found.outputs[text_of(parts[0])] = parts[-1]
        case "resource_declaration" | "module_declaration":
            kinds = found.resources if statement.type == "resource_declaration" else found.modules
            body = next(node for node in nodes(parts[-1]) if node.type == "object")
            head = text_of(statement).partition("{")[0]
            kinds[text_of(parts[0])] = Declaration(
                text_of(parts[1]).strip("'"), body, exists=" existing =" in head, conditional="= if (" in head
            )
        case _:
            pass


def _allowed(parameter: Node) -> Iterator[Any]:
    for call in decorators(parameter):
        if text_of(call.named_children[0]) == "allowed":
            yield _value(call.named_children[1].named_children[0], {})


def _note_use(found: Template, node: Node) -> None:
    if node.type in {"loop_variable", "loop_enumerator"}:
        found.local.add(text_of(node))
    if node.type in {"lambda_expression", "for_statement"}:
        found.local.add(text_of(node.named_children[0]))
    if node.type == "identifier" and _is_use(node):
        found.used.add(text_of(node))
    if node.type == "member_expression" and (pair := _output_of(node)):
        found.used_outputs.add(pair)


def _is_use(identifier: Node) -> bool:
    parent = identifier.parent
    assert parent is not None
    if parent.type == "import_functionality":
        return False
    if parent.type in {"object_property", "call_expression"} or parent.type.endswith("_declaration"):
        first = parent.named_children[0]
        return first != identifier and parent.type != "call_expression"
    return True


def _output_of(member: Node) -> tuple[str, str] | None:
    parts = text_of(member).replace("!", "").split(".")
    return (parts[0], parts[2]) if len(parts) == 3 and parts[1] == "outputs" else None


def _value(node: Node, variables: Mapping[str, Node]) -> Any:
    text = text_of(node)
    match node.type:
        case "object":
            return {name: _value(value, variables) for name, value in members(node).items()}
        case "array":
            return [_value(child, variables) for child in node.named_children if child.type != "comment"]
        case "string" if not any(part.type == "interpolation" for part in node.children):
            return text.strip("'")
        case "number":
            return int(text)
        case "boolean":
            return text == "true"
        case "identifier" if text in variables:
            return _value(variables[text], variables)
        case _:
            return Expression(text)
