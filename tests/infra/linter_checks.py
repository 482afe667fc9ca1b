"""The findings of the compiler's linter that a parser can find as well. Each check names its rules."""

import re
from collections.abc import Iterator, Mapping
from datetime import date

from tree_sitter import Node

from tests.infra.bicep_parser import Template, decorators, members, nodes, text_of
from tests.infra.facts.api_versions import AS_OF, MAX_AGE, VERSIONS, family_of

Files = Mapping[str, Template]
"""Every template by its file name without the extension."""

_BARE = {"object", "array"}
_ID_AS_TEXT = re.compile(r"/(subscriptions|resourceGroups|providers)/|\.id\}/")
# Functions that create ids, and properties without ids:
# github.com/Azure/bicep at 9beb0fee, UseResourceIdFunctionsRule.cs.
_ID_FUNCTIONS = {
    *("extensionResourceId", "guid", "managementGroupResourceId", "reference", "resourceId", "subscription"),
    *("subscriptionResourceId", "tenantResourceId"),
}
_NO_IDS = {"clientId", "principalId", "tenantId", "resource", "tags", "metadata", "locations"}


def bare_types(files: Files) -> list[str]:
    """use-user-defined-types, no-explicit-any: types that don't describe their values."""
    return [
        f"{name}: line {node.start_point.row + 1} has the type {text_of(node)}"
        for name, file in files.items()
        for node in nodes(file.root)
        if (node.type == "primitive_type" and text_of(node) in _BARE) or _is_any(node)
    ]


def _is_any(node: Node) -> bool:
    """Whether `node` is the type `any`, not the function of that name."""
    calls = node.parent is not None and node.parent.type == "call_expression"
    return node.type == "identifier" and text_of(node) == "any" and not calls


def stale_versions(files: Files) -> list[str]:
    """use-recent-api-versions: previews, and versions older than two years that are not the newest stable ones."""
    found: list[str] = []
    for name, file in files.items():
        for symbol, resource in file.resources.items():
            kind, _, version = resource.kind.partition("@")
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", version):
                found.append(f"{name}: {symbol} has a preview version: {version}")
            elif AS_OF - date.fromisoformat(version) > MAX_AGE and not _is_newest(kind, version):
                found.append(f"{name}: {symbol} has a version older than two years: {version}")
    return found


def _is_newest(kind: str, version: str) -> bool:
    family = VERSIONS.get(family_of(kind))
    return family is not None and version == family.newest


def ids_as_text(files: Files) -> list[str]:
    """use-resource-id-functions, also for outputs: ids that don't come from a resource, parameter or function."""
    found: list[str] = []
    for name, file in files.items():
        texts = [text_of(node) for node in nodes(file.root) if node.type == "string"]
        found += [f"{name}: {text} is an id as text" for text in texts if _ID_AS_TEXT.search(text)]
        for symbol, resource in file.resources.items():
            properties = members(resource.body).get("properties")
            for key, value in _ids(properties) if properties is not None else ():
                if not _is_derived(file, value):
                    found.append(f"{name}: {symbol} has {key} from {text_of(value)}")
    return found


def _ids(node: Node) -> Iterator[tuple[str, Node]]:
    """Properties whose names end with `id`."""
    for child in node.named_children:
        if child.type != "object_property" or len(child.named_children) != 2:
            yield from _ids(child)
            continue
        key = text_of(child.named_children[0]).strip("'")
        if key in _NO_IDS:
            continue
        if key.lower().endswith("id"):
            yield key, child.named_children[1]
        else:
            yield from _ids(child.named_children[1])


def _is_derived(file: Template, value: Node) -> bool:
    names = {text_of(node) for node in nodes(value) if node.type == "identifier"}
    if names & {*file.resources, *file.modules} or value.type == "ternary_expression":
        return True
    match value.type:
        case "string":
            return "/" not in text_of(value) and not any(node.type == "interpolation" for node in nodes(value))
        case "call_expression":
            return text_of(value.named_children[0]) in _ID_FUNCTIONS
        case "identifier" if text_of(value) in file.variables:
            return _is_derived(file, file.variables[text_of(value)])
        case _:
            return bool(names & file.params.keys())


def undescribed(files: Files) -> list[str]:
    """use-description-outputs, -types, -type-properties, and -params in main.bicep: missing descriptions."""
    found: list[str] = []
    for name, file in files.items():
        kinds = {"output_declaration", "type_declaration", "parameter_declaration" if name == "main" else ""}
        declared = [node for node in file.root.named_children if node.type in kinds]
        types = [node for node in declared if node.type == "type_declaration"]
        parts = [node for each in types for node in nodes(each) if node.type == "object_property"]
        found += [
            f"{name}: {text_of(node.named_children[0])} has no description"
            for node in [*declared, *parts]
            if not any(text_of(call).startswith("description('") for call in decorators(node))
        ]
    return found


def named_modules(files: Files) -> list[str]:
    """no-module-name: names that two concurrent deployments would share."""
    modules = [(name, symbol, module) for name, file in files.items() for symbol, module in file.modules.items()]
    return [f"{name}: {symbol} has a name" for name, symbol, module in modules if "name" in members(module.body)]
