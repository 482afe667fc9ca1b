"""Checks for what Azure refuses, or should not get. Each check returns its findings as sentences."""

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from tree_sitter import Node

from tests.infra.bicep_parser import Declaration, Template, members, nodes, path_of, text_of
from tests.infra.code_checks import role_of
from tests.infra.facts.api_versions import family_of
from tests.infra.facts.azure_limits import GLOBALLY_UNIQUE, NAMES, PRIVATE_ZONES, VALUES

Files = Mapping[str, Template]
"""Every template by its file name without the extension."""

# The longest values: uniqueString returns 13 characters, azd accepts 64.
_LONGEST = {"token": "t" * 13, "environmentName": "e" * 64}
_GUID = re.compile(r"guid\((\w+)\.id, (\w+), (\w+)\)")
# Browsers connect to them, as to the app.
_OPEN = {"signalr", "socketio", "websocket"}
_PRIVATE = "isPrivate ? 'Disabled' : 'Enabled'"
_TAG = "azd-service-name"
# The keys become app settings, as OPENAI_API_KEY does: the app verifies signatures with them.
_REQUESTED = {("app", "socketioKeys")}


def resources(files: Files) -> Iterator[tuple[str, str, Declaration]]:
    for name, file in files.items():
        for symbol, resource in file.resources.items():
            yield name, symbol, resource


def unknown_values(files: Files) -> list[str]:
    """Values that are not in the list of their property."""
    found: list[str] = []
    for name, symbol, resource in resources(files):
        for pair in (node for node in nodes(resource.body) if node.type == "object_property"):
            known = VALUES.get(f"{resource.kind} {path_of(pair, resource.body)}", "").split()
            given = [text_of(node).strip("'") for node in _possible_literals(pair.named_children[1])] if known else []
            found += [f"{name}: {symbol} can't be {value}" for value in given if value not in known]
    return found


def _possible_literals(value: Node) -> Iterator[Node]:
    """The literals that a value may have: of a condition, those of both branches."""
    if value.type == "string":
        yield value
    if value.type == "ternary_expression":
        for branch in value.named_children[1:]:
            yield from _possible_literals(branch)


def bad_names(files: Files) -> list[str]:
    """Names that are too long, have a forbidden character, or may already be taken by somebody else."""
    found: list[str] = []
    for (name, symbol), (kind, given) in names(files).items():
        if kind in NAMES and not re.fullmatch(NAMES[kind], given):
            found.append(f"{name}: {symbol} can't be named {given}")
        if kind in GLOBALLY_UNIQUE and _LONGEST["token"] not in given:
            found.append(f"{name}: {symbol} has a name that may be taken: {given}")
    return found


def names(files: Files) -> dict[tuple[str, str], tuple[str, str]]:
    """Type and longest name of each resource, by file and symbol. Names from a loop are not included."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for name, symbol, resource in resources(files):
        given = None if resource.exists else _longest(files, name, text_of(members(resource.body)["name"]))
        if given is not None:
            found[name, symbol] = (resource.kind.partition("@")[0], given)
    return found


def _longest(files: Files, file: str, text: str) -> str | None:
    if text.startswith("'"):
        parts = {part: _longest(files, file, part) for part in re.findall(r"\$\{(.+?)\}", text)}
        filled = re.sub(r"\$\{(.+?)\}", lambda match: parts[match[1]] or "", text.strip("'"))
        return None if None in parts.values() else filled
    if text in files[file].variables and text not in _LONGEST:
        return _longest(files, file, text_of(files[file].variables[text]))
    if file == "main" or text not in files[file].params:
        return _LONGEST.get(text)
    module = next(module for module in files["main"].modules.values() if module.kind == f"modules/{file}.bicep")
    return _longest(files, "main", text_of(members(members(module.body)["params"])[text]))


def badly_named_assignments(files: Files) -> list[str]:
    """Assignments whose name is not derived from scope, principal and role, or without a principal type."""
    found: list[str] = []
    for name, symbol, resource in resources(files):
        if "oleAssignments@" not in resource.kind:
            continue
        body, properties = members(resource.body), members(members(resource.body)["properties"])
        name_match, scope = _GUID.fullmatch(text_of(body["name"])), body.get("scope") or body["parent"]
        role = role_of(files[name], resource)
        if name_match is None:
            found.append(f"{name}: {symbol} has no name from guid(scope, principal, role)")
        elif (
            name_match[1] != text_of(scope)
            or name_match[2] != text_of(properties["principalId"])
            or name_match[3] not in role
        ):
            found.append(f"{name}: {symbol} has the name of another assignment")
        if "Authorization/" in resource.kind and "principalType" not in properties:
            found.append(f"{name}: {symbol} has no principalType, so a new identity is not found")
    return found


def open_services(files: Files) -> list[str]:
    """Services that network isolation leaves open, or closes for the app as well."""
    main, found = files["main"], list[str]()
    network = text_of(main.modules["network"].body)
    closed = [
        (name, text_of(members(members(resource.body)["properties"])["publicNetworkAccess"]))
        for name, _, resource in resources(files)
        if name not in _OPEN
        and "publicNetworkAccess" in members(members(resource.body).get("properties", resource.body))
    ]
    for name, access in closed:
        given = members(members(main.modules[name].body)["params"]).get("isPrivate")
        if access != _PRIVATE or given is None or text_of(given) != "networkIsolation":
            found.append(f"{name} does not follow networkIsolation")
        if f"{name}.outputs.id" not in network.replace("!", ""):
            found.append(f"{name} has no private endpoint")
    pairs = dict(re.findall(r"group: '(\w+)', zone: '([^']+)'", network))
    return found + [f"{group} is not reached through {zone}" for group, zone in pairs.items() ^ PRIVATE_ZONES.items()]


def exposed_secrets(files: Files) -> list[str]:
    """Secrets that a deployment exposes: requested, returned, or passed on as plain text."""
    found: list[str] = []
    for name, file in files.items():
        bodies = [declared.body for declared in [*file.resources.values(), *file.modules.values()]]
        bodies += [node for symbol, node in file.variables.items() if (name, symbol) not in _REQUESTED]
        calls = [text_of(node) for body in bodies for node in nodes(body) if node.type == "call_expression"]
        found += [f"{name}: {call} requests a secret" for call in calls if re.match(r"(\w+!?\.)?list[A-Z]", call)]
        for output, node in file.outputs.items():
            used = {text_of(part) for part in nodes(node) if part.type == "identifier"}
            if used & (file.secure | _holders(file)) or re.search(r"\blist[A-Z]", text_of(node)):
                found.append(f"{name}: {output} returns a secret")
    main = files["main"]
    for symbol, module in main.modules.items():
        target = files[module.kind.removeprefix("modules/").removesuffix(".bicep")]
        for param, node in members(members(module.body)["params"]).items():
            if text_of(node) in main.secure and param not in target.secure:
                found.append(f"{symbol}: {param} is a secret, but is not declared as one")
    return found


def _holders(file: Template) -> set[str]:
    """The variables that hold a requested secret, also by way of another variable."""
    found, before = set[str](), {""}
    while found != before:
        before, found = found, {symbol for symbol, node in file.variables.items() if _holds(node, found)}
    return found


def _holds(node: Node, holders: set[str]) -> bool:
    names = {text_of(part) for part in nodes(node) if part.type == "identifier"}
    return bool(names & holders) or any(re.match(r"list[A-Z]", each) for each in names)


def unguarded_modules(files: Files) -> list[str]:
    """Outputs that are read from a conditional module without the `!` operator."""
    main = files["main"]
    texts = [text_of(node) for module in main.modules.values() for node in nodes(module.body)]
    return [
        f"{symbol} may not exist: {text}"
        for symbol, module in main.modules.items()
        for text in texts
        if module.conditional and text.startswith(f"{symbol}.outputs.")
    ]


def circular_modules(files: Files) -> list[str]:
    """Modules that wait for each other's outputs."""
    main = files["main"]
    reads = {
        symbol: set(re.findall(r"\b(\w+)!?\.outputs\.", text_of(module.body)))
        for symbol, module in main.modules.items()
    }
    try:
        TopologicalSorter(reads).prepare()
    except CycleError as error:
        return [f"{' waits for '.join(reversed(error.args[1]))}"]
    return []


def wrongly_tagged(files: Files) -> list[str]:
    """azd deploys to the one resource with the service's tag. Before 1.23.4 it refuses two resources with it."""
    tagged = [f"{name}: {symbol}" for name, symbol, resource in resources(files) if _TAG in text_of(resource.body)]
    passed = [f"main: {symbol}" for symbol, module in files["main"].modules.items() if _TAG in text_of(module.body)]
    return [] if tagged == ["app: site"] and not passed else ["tagged resources: " + ", ".join(tagged + passed)]


def mixed_versions(files: Files) -> list[str]:
    """Families of resources with more than one API version."""
    used: dict[str, set[str]] = {}
    for _, _, resource in resources(files):
        kind, _, version = resource.kind.partition("@")
        used.setdefault(family_of(kind), set()).add(version)
    return [f"{family} has the versions {', '.join(sorted(each))}" for family, each in used.items() if len(each) > 1]
