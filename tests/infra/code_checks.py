"""Checks that the Bicep files fit together and fit the code. Each check returns its findings as sentences."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.infra.bicep_parser import Declaration, Expression, Template, members, nodes, property_paths, text_of
from tests.infra.facts.azure_facts import (
    ENVELOPE,
    FORBIDDEN_ON_FLEX,
    PLATFORM_SETTINGS,
    PROPERTIES,
    READABLE,
    REQUIRED,
    ROLES,
)
from turnlog.settings import Settings
from turnlog.stores.cosmos.containers import PROVISIONED

Files = Mapping[str, Template]
"""Every template by its file name without the extension."""

_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?:=(.*?))?\}")
_SETTING_VARIABLES = (
    *("platformSettings", "ownSettings", "keySettings", "jwtSettings"),
    *("signalrSettings", "socketioSettings", "websocketSettings", "schedulerSettings"),
)


def unparsed(files: Files) -> list[str]:
    return [f"{name}: {error}" for name, file in files.items() for error in file.broken]


def unresolved(files: Files) -> list[str]:
    """Names without a declaration, and imports, types, parameters and variables that are never used."""
    unknown = [(name, symbol) for name, file in files.items() for symbol in file.used - file.declared - file.local]
    unused = [(name, symbol) for name, file in files.items() for symbol in _must_be_used(file) - file.used]
    return [f"{name}: {symbol} is not declared" for name, symbol in unknown] + [
        f"{name}: {symbol} is not used" for name, symbol in unused
    ]


def _must_be_used(file: Template) -> set[str]:
    return {*file.imports, *file.types, *file.params, *file.variables} - file.exported


def wrong_imports(files: Files) -> list[str]:
    """Imports of names that no file exports, and exports that no file imports."""
    exported = {(name, symbol) for name, file in files.items() for symbol in file.exported}
    imported = {
        (path.removesuffix(".bicep").rpartition("/")[2], symbol)
        for file in files.values()
        for symbol, path in file.imports.items()
    }
    return [f"{name} does not export {symbol}" for name, symbol in imported - exported] + [
        f"{name}: no file imports {symbol}" for name, symbol in exported - imported
    ]


def wrong_modules(files: Files) -> list[str]:
    main, found = files["main"], list[str]()
    for symbol, module in main.modules.items():
        file = files.get(module.kind.removeprefix("modules/").removesuffix(".bicep"))
        if file is None:
            found.append(f"{symbol}: there is no {module.kind}")
            continue
        given = set(members(members(module.body)["params"]))
        needed = {name for name, default in file.params.items() if default is None}
        found += [f"{symbol}: {name} is not a parameter" for name in given - set(file.params)]
        found += [f"{symbol}: {name} is not given" for name in needed - given]
        found += [
            f"{symbol}: {output} is not an output"
            for module_name, output in main.used_outputs
            if module_name == symbol and output not in file.outputs
        ]
    return found


def wrong_parameters(files: Files, parameters: str) -> list[str]:
    """Parameters in main.parameters.json that are unknown, missing, or have another default than in main.bicep.

    A secret that each deployment makes is not given.
    """
    given: dict[str, Any] = {name: entry["value"] for name, entry in json.loads(parameters)["parameters"].items()}
    main, found = files["main"], list[str]()
    found += [f"{name} is not a parameter" for name in given.keys() - main.params.keys()]
    made = {name for name, node in main.params.items() if node is not None and text_of(node) == "newGuid()"}
    found += [f"{name} is not given" for name in main.params.keys() - given.keys() - made]
    found += [f"{name} is made by each deployment, but is no secret" for name in made - main.secure]
    for name in given.keys() & main.params.keys():
        match, node = _VARIABLE.fullmatch(given[name]), main.params[name]
        default = None if node is None else main.value(node)
        expected = str(default).lower() if isinstance(default, bool) else str(default)
        if match is None or match[2] != (None if default is None else expected):
            found.append(f"{name}: {given[name]} differs from main.bicep: {default!r}")
        elif default is not None and default not in main.allowed.get(name, [default]):
            found.append(f"{name}: {default} is not allowed")
    return found


def undocumented_parameters(parameters: str, text: str) -> list[str]:
    """Variables of a deployment that docs/run/deploy.md does not explain."""
    return [f"{match[1]} is not explained" for match in _VARIABLE.finditer(parameters) if f"`{match[1]}`" not in text]


def app_settings(files: Files) -> dict[str, Any]:
    """All settings that the app may get, with their literal values."""
    app = files["app"]
    objects = [
        app.value(node)
        for variable in _SETTING_VARIABLES
        for node in nodes(app.variables[variable])
        if node.type == "object"
    ]
    return {name: value for values in objects for name, value in values.items()}


def unknown_settings(files: Files) -> list[str]:
    known = {name.upper() for name in Settings.model_fields} | set(PLATFORM_SETTINGS)
    return [f"nothing reads {name}" for name in app_settings(files).keys() - known]


def forbidden_settings(files: Files) -> list[str]:
    app = files["app"]
    sites = [path for site in app.resources.values() for path in property_paths(site.body)]
    names = [*app_settings(files), *(path.rsplit(".", 1)[-1] for path in sites)]
    return [f"{name} is forbidden on Flex Consumption" for name in names if name.startswith(FORBIDDEN_ON_FLEX)]


def unknown_host_json_paths(files: Files, host: str) -> list[str]:
    """Settings that override host.json at a path that host.json does not have."""
    found: list[str] = []
    for name in app_settings(files):
        value: Any = json.loads(host)
        *path, last = name.split("__")
        if path[:1] != ["AzureFunctionsJobHost"]:
            continue
        for key in path[1:]:
            value = value.get(key, {})
        if not value or (last == "type" and last not in value):
            found.append(f"{name} is not a path of host.json")
    return found


def wrong_roles(files: Files) -> list[str]:
    """Roles with a wrong id, and assignments of an unknown role or to a whole resource group."""
    found: list[str] = []
    for name, file in files.items():
        literals = {symbol: file.value(node) for symbol, node in file.variables.items()}
        found += [
            f"{name}: {symbol} is {value}, not {ROLES.get(symbol)}"
            for symbol, value in literals.items()
            if (symbol in ROLES or re.fullmatch(r"[0-9a-f-]{36}", str(value))) and ROLES.get(symbol) != value
        ]
        for symbol, resource in file.resources.items():
            if "oleAssignments@" in resource.kind:
                found += [f"{name}: {symbol} {problem}" for problem in _assignment_problems(file, resource)]
    return found


def role_of(file: Template, assignment: Declaration) -> set[str]:
    """The names in the assigned role. If the role is a resource, the names in the resource's name."""
    given = members(members(assignment.body)["properties"])["roleDefinitionId"]
    found = {text_of(node) for node in nodes(given) if node.type == "identifier"}
    roles = [file.resources[symbol] for symbol in found & file.resources.keys()]
    return found | {text_of(members(role.body)["name"]) for role in roles if role.exists}


def _assignment_problems(file: Template, resource: Declaration) -> Iterator[str]:
    properties = members(members(resource.body)["properties"])
    if not role_of(file, resource) & set(ROLES):
        yield "assigns an unknown role"
    if "scope" not in members(resource.body) | properties:
        yield "has no scope, so it applies to the whole resource group"


def wrong_containers(files: Files) -> list[str]:
    """Containers that differ from turnlog/stores/cosmos/containers.py."""
    cosmos = files["cosmos"]
    provisioned = {entry["name"]: entry for entry in cosmos.value(cosmos.variables["containers"])}
    expected = {container.name: container for container in PROVISIONED}
    found = [f"{name} is not provisioned" for name in expected.keys() - provisioned.keys()]
    found += [f"{name} is not in containers.py" for name in provisioned.keys() - expected.keys()]
    for name in expected.keys() & provisioned.keys():
        entry, container = provisioned[name], expected[name]
        if entry["partitionKey"] != container.partition_key:
            found.append(f"{name}: another partition key")
        if entry["indexingPolicy"] != container.indexing_policy:
            found.append(f"{name}: another index policy")
        if entry["defaultTtl"] != container.default_ttl:
            found.append(f"{name}: another time to live")
    if _value_at(cosmos, cosmos.resources["items"], "resource.defaultTtl") != Expression("container.defaultTtl"):
        found.append("another time to live")
    return found


def unknown_properties(files: Files) -> list[str]:
    found: list[str] = []
    for name, file in files.items():
        for symbol, resource in file.resources.items():
            if resource.kind not in PROPERTIES:
                found.append(f"{name}: {symbol} has a type or version that is not in the table: {resource.kind}")
                continue
            known = ENVELOPE | {f"properties.{path}" for path in PROPERTIES[resource.kind].split()}
            found += [f"{name}: {symbol} has no {path}" for path in property_paths(resource.body) - known]
    return found


def unknown_reads(files: Files) -> list[str]:
    """Properties that are read from a resource that does not have them."""
    return [
        f"{name}: {symbol} has no {path} to read"
        for name, file in files.items()
        for symbol, path in property_reads(file)
        if path not in READABLE.get(file.resources[symbol].kind.partition("@")[0], "").split()
    ]


def property_reads(file: Template) -> Iterator[tuple[str, str]]:
    """Pairs of resource and property, for example `account.properties.primaryEndpoints.blob`."""
    for node in nodes(file.root):
        symbol, _, path = text_of(node).partition(".properties.")
        within = node.parent is not None and node.parent.type == "member_expression"
        if node.type == "member_expression" and not within and path and symbol in file.resources:
            yield symbol, path


def missing_requirements(files: Files) -> list[str]:
    found: list[str] = []
    for (name, symbol, path), (value, reason) in REQUIRED.items():
        actual = _value_at(files[name], files[name].resources[symbol], path)
        if actual != value:
            found.append(f"{name}: {symbol} has {actual!r} for {path}, not {value!r}: {reason}")
    return found


def _value_at(file: Template, resource: Declaration, path: str) -> Any:
    value: Any = file.value(resource.body)["properties"]
    for key in path.split("."):
        value = None if isinstance(value, Expression) or value is None else value.get(key)
    return value
