"""What must hold of the Bicep files: each check gives the sentences of what does not."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.settings import Settings
from shared.stores.cosmos.containers import PROVISIONED
from tests.infra.bicep import Declared, Expression, Template, members, nodes, property_paths, text_of
from tests.infra.knowledge import (
    ENVELOPE,
    FORBIDDEN_ON_FLEX,
    PLATFORM_SETTINGS,
    PROPERTIES,
    READABLE,
    REQUIRED,
    ROLES,
)

Files = Mapping[str, Template]
"""Every template by its file's name without the ending."""

_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?:=(.*?))?\}")
_SETTING_VARIABLES = (
    *("platformSettings", "ownSettings", "keySettings", "jwtSettings"),
    *("signalrSettings", "schedulerSettings"),
)


def unparsed(files: Files) -> list[str]:
    return [f"{name}: {place}" for name, file in files.items() for place in file.broken]


def unresolved(files: Files) -> list[str]:
    """Names that nothing declares, and imports, types, parameters and variables that nothing uses."""
    unknown = [(name, symbol) for name, file in files.items() for symbol in file.used - file.declared - file.local]
    idle = [(name, symbol) for name, file in files.items() for symbol in _to_be_used(file) - file.used]
    return [f"{name}: {symbol} is not declared" for name, symbol in unknown] + [
        f"{name}: {symbol} is not used" for name, symbol in idle
    ]


def _to_be_used(file: Template) -> set[str]:
    return {*file.imports, *file.types, *file.params, *file.variables} - file.exported


def unfit_imports(files: Files) -> list[str]:
    """Imports of what no file exports, and exports that no file imports."""
    exported = {(name, symbol) for name, file in files.items() for symbol in file.exported}
    taken = {
        (path.removesuffix(".bicep").rpartition("/")[2], symbol)
        for file in files.values()
        for symbol, path in file.imports.items()
    }
    return [f"{name} does not export {symbol}" for name, symbol in taken - exported] + [
        f"{name}: no file imports {symbol}" for name, symbol in exported - taken
    ]


def unfit_modules(files: Files) -> list[str]:
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
            for taker, output in main.taken
            if taker == symbol and output not in file.outputs
        ]
    return found


def unfit_parameters(files: Files, parameters: str) -> list[str]:
    """What main.parameters.json gives too much, too little, or with another default than main.bicep's."""
    given: dict[str, Any] = {name: entry["value"] for name, entry in json.loads(parameters)["parameters"].items()}
    main, found = files["main"], list[str]()
    found += [f"{name} is not a parameter" for name in given.keys() - main.params.keys()]
    found += [f"{name} is not given" for name in main.params.keys() - given.keys()]
    for name in given.keys() & main.params.keys():
        match, node = _VARIABLE.fullmatch(given[name]), main.params[name]
        default = None if node is None else main.value(node)
        said = str(default).lower() if isinstance(default, bool) else str(default)
        if match is None or match[2] != (None if default is None else said):
            found.append(f"{name}: {given[name]} does not say what main.bicep does: {default!r}")
        elif default is not None and default not in main.allowed.get(name, [default]):
            found.append(f"{name}: {default} is not allowed")
    return found


def untold_parameters(parameters: str, text: str) -> list[str]:
    """Variables that a deployment takes, and docs/run/deploy.md does not explain."""
    return [f"{match[1]} is not explained" for match in _VARIABLE.finditer(parameters) if f"`{match[1]}`" not in text]


def app_settings(files: Files) -> dict[str, Any]:
    """The names of all settings that the app may be given, with what is literal of their values."""
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
    return [f"{name} is read by no one" for name in app_settings(files).keys() - known]


def forbidden_settings(files: Files) -> list[str]:
    app = files["app"]
    sites = [path for site in app.resources.values() for path in property_paths(site.body)]
    names = [*app_settings(files), *(path.rsplit(".", 1)[-1] for path in sites)]
    return [f"{name} is forbidden on Flex Consumption" for name in names if name.startswith(FORBIDDEN_ON_FLEX)]


def unlike_host_json(files: Files, host: str) -> list[str]:
    """Settings that go over host.json, and lead to no place in it."""
    found: list[str] = []
    for name in app_settings(files):
        place: Any = json.loads(host)
        *way, last = name.split("__")
        if way[:1] != ["AzureFunctionsJobHost"]:
            continue
        for key in way[1:]:
            place = place.get(key, {})
        if not place or (last == "type" and last not in place):
            found.append(f"{name} leads nowhere in host.json")
    return found


def wrong_roles(files: Files) -> list[str]:
    """Roles with another id than theirs, and assignments of no known role or to a whole resource group."""
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
                found += [f"{name}: {symbol} {what}" for what in _wrong_in_assignment(file, resource)]
    return found


def role_of(file: Template, assignment: Declared) -> set[str]:
    """The names in the role that is assigned; where the role is a resource, those in its name."""
    given = members(members(assignment.body)["properties"])["roleDefinitionId"]
    found = {text_of(node) for node in nodes(given) if node.type == "identifier"}
    roles = [file.resources[symbol] for symbol in found & file.resources.keys()]
    return found | {text_of(members(role.body)["name"]) for role in roles if role.exists}


def _wrong_in_assignment(file: Template, resource: Declared) -> Iterator[str]:
    properties = members(members(resource.body)["properties"])
    if not role_of(file, resource) & set(ROLES):
        yield "gives no known role"
    if "scope" not in members(resource.body) | properties:
        yield "has no scope: it holds for the whole resource group"


def unlike_the_code(files: Files) -> list[str]:
    """Containers that are not as shared/stores/cosmos/containers.py says."""
    cosmos = files["cosmos"]
    provisioned = {entry["name"]: entry for entry in cosmos.value(cosmos.variables["containers"])}
    expected = {container.name: container for container in PROVISIONED}
    found = [f"{name} is not provisioned" for name in expected.keys() - provisioned.keys()]
    found += [f"{name} is not in containers.py" for name in provisioned.keys() - expected.keys()]
    for name in expected.keys() & provisioned.keys():
        there, container = provisioned[name], expected[name]
        if there["partitionKey"] != container.partition_key:
            found.append(f"{name}: another partition key")
        if there["indexingPolicy"] != container.indexing_policy:
            found.append(f"{name}: another index policy")
        if there["defaultTtl"] != container.default_ttl:
            found.append(f"{name}: another time to live")
    if _said(cosmos, cosmos.resources["items"], "resource.defaultTtl") != Expression("container.defaultTtl"):
        found.append("another time to live")
    return found


def unknown_properties(files: Files) -> list[str]:
    found: list[str] = []
    for name, file in files.items():
        for symbol, resource in file.resources.items():
            if resource.kind not in PROPERTIES:
                found.append(f"{name}: {symbol} has a type or version not in the table: {resource.kind}")
                continue
            known = ENVELOPE | {f"properties.{path}" for path in PROPERTIES[resource.kind].split()}
            found += [f"{name}: {symbol} has no {path}" for path in property_paths(resource.body) - known]
    return found


def unknown_reads(files: Files) -> list[str]:
    """Properties of a resource that are read, and that it does not have."""
    return [
        f"{name}: {symbol} has no {path} to read"
        for name, file in files.items()
        for symbol, path in reads(file)
        if path not in READABLE.get(file.resources[symbol].kind.partition("@")[0], "").split()
    ]


def reads(file: Template) -> Iterator[tuple[str, str]]:
    """Pairs of resource and property, as in `account.properties.primaryEndpoints.blob`."""
    for node in nodes(file.root):
        symbol, _, path = text_of(node).partition(".properties.")
        within = node.parent is not None and node.parent.type == "member_expression"
        if node.type == "member_expression" and not within and path and symbol in file.resources:
            yield symbol, path


def not_as_required(files: Files) -> list[str]:
    found: list[str] = []
    for (name, symbol, path), (value, reason) in REQUIRED.items():
        said = _said(files[name], files[name].resources[symbol], path)
        if said != value:
            found.append(f"{name}: {symbol} says {said!r} for {path}, not {value!r}: {reason}")
    return found


def _said(file: Template, resource: Declared, path: str) -> Any:
    said: Any = file.value(resource.body)["properties"]
    for key in path.split("."):
        said = None if isinstance(said, Expression) or said is None else said.get(key)
    return said
