"""What Azure refuses, or should not be given: each check gives the sentences of what is so."""

import re
from collections.abc import Iterator, Mapping

from tree_sitter import Node

from tests.infra.bicep import Declared, Template, members, nodes, path_of, text_of
from tests.infra.checks import role_of
from tests.infra.limits import NAMES, PRIVATE_ZONES, UNIQUE_IN_THE_WORLD, VALUES
from tests.infra.versions import family_of

Files = Mapping[str, Template]
"""Every template by its file's name without the ending."""

# As long as they get: uniqueString gives 13 characters, azd takes 64.
_LONGEST = {"token": "t" * 13, "environmentName": "e" * 64}
_GUID = re.compile(r"guid\((\w+)\.id, (\w+), (\w+)\)")
# Browsers connect to it, as they do to the app.
_OPEN = {"signalr"}
_PRIVATE = "isPrivate ? 'Disabled' : 'Enabled'"
_TAG = "azd-service-name"


def resources(files: Files) -> Iterator[tuple[str, str, Declared]]:
    for name, file in files.items():
        for symbol, resource in file.resources.items():
            yield name, symbol, resource


def unknown_values(files: Files) -> list[str]:
    """Words that are not on the list of their property."""
    found: list[str] = []
    for name, symbol, resource in resources(files):
        for pair in (node for node in nodes(resource.body) if node.type == "object_property"):
            known = VALUES.get(f"{resource.kind} {path_of(pair, resource.body)}", "").split()
            given = [text_of(node).strip("'") for node in _possible(pair.named_children[1])] if known else []
            found += [f"{name}: {symbol} can't be {value}" for value in given if value not in known]
    return found


def _possible(value: Node) -> Iterator[Node]:
    """The literals that a value may be: of a choice both ends."""
    if value.type == "string":
        yield value
    if value.type == "ternary_expression":
        for end in value.named_children[1:]:
            yield from _possible(end)


def bad_names(files: Files) -> list[str]:
    """Names that are too long, hold what they may not, or can be taken by someone else."""
    found: list[str] = []
    for (name, symbol), (kind, given) in names(files).items():
        if kind in NAMES and not re.fullmatch(NAMES[kind], given):
            found.append(f"{name}: {symbol} can't be named {given}")
        if kind in UNIQUE_IN_THE_WORLD and _LONGEST["token"] not in given:
            found.append(f"{name}: {symbol} has a name that others may have: {given}")
    return found


def names(files: Files) -> dict[tuple[str, str], tuple[str, str]]:
    """By file and symbol: type and longest name of each resource; those that a loop names are not in it."""
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


def badly_made_assignments(files: Files) -> list[str]:
    """Assignments whose name does not follow from what they give, to whom and where, or who that is."""
    found: list[str] = []
    for name, symbol, resource in resources(files):
        if "oleAssignments@" not in resource.kind:
            continue
        body, properties = members(resource.body), members(members(resource.body)["properties"])
        named, where = _GUID.fullmatch(text_of(body["name"])), body.get("scope") or body["parent"]
        role = role_of(files[name], resource)
        if named is None:
            found.append(f"{name}: {symbol} has no name made by guid(scope, principal, role)")
        elif named[1] != text_of(where) or named[2] != text_of(properties["principalId"]) or named[3] not in role:
            found.append(f"{name}: {symbol} has the name of another assignment")
        if "Authorization/" in resource.kind and "principalType" not in properties:
            found.append(f"{name}: {symbol} has no principalType: a new identity is not found")
    return found


def open_services(files: Files) -> list[str]:
    """Services that network isolation leaves open, or closes to the app as well."""
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


def told_secrets(files: Files) -> list[str]:
    """Secrets that someone may read in a deployment: asked for, put out, or handed on as plain text."""
    found: list[str] = []
    for name, file in files.items():
        for declared in [*file.resources.values(), *file.modules.values()]:
            calls = [text_of(node) for node in nodes(declared.body) if node.type == "call_expression"]
            found += [f"{name}: {call} asks for a secret" for call in calls if re.match(r"(\w+\.)?list[A-Z]", call)]
        for output, node in file.outputs.items():
            used = {text_of(part) for part in nodes(node) if part.type == "identifier"}
            if used & file.secure or re.search(r"\blist[A-Z]", text_of(node)):
                found.append(f"{name}: {output} puts out a secret")
    main = files["main"]
    for symbol, module in main.modules.items():
        target = files[module.kind.removeprefix("modules/").removesuffix(".bicep")]
        for param, node in members(members(module.body)["params"]).items():
            if text_of(node) in main.secure and param not in target.secure:
                found.append(f"{symbol}: {param} is a secret, and not declared as one")
    return found


def unguarded_modules(files: Files) -> list[str]:
    """Outputs that are taken of a module that may not be there, without saying that it then is."""
    main = files["main"]
    taken = [text_of(node) for module in main.modules.values() for node in nodes(module.body)]
    return [
        f"{symbol} may not be there: {text}"
        for symbol, module in main.modules.items()
        for text in taken
        if module.conditional and text.startswith(f"{symbol}.outputs.")
    ]


def wrongly_tagged(files: Files) -> list[str]:
    """azd deploys to the one resource with its service's name: before 1.23.4 it refuses where two have it."""
    tagged = [f"{name}: {symbol}" for name, symbol, resource in resources(files) if _TAG in text_of(resource.body)]
    passed = [f"main: {symbol}" for symbol, module in files["main"].modules.items() if _TAG in text_of(module.body)]
    return [] if tagged == ["app: site"] and not passed else ["tagged are " + ", ".join(tagged + passed)]


def mixed_versions(files: Files) -> list[str]:
    """Families of resources with more than one API version."""
    used: dict[str, set[str]] = {}
    for _, _, resource in resources(files):
        kind, _, version = resource.kind.partition("@")
        used.setdefault(family_of(kind), set()).add(version)
    return [f"{family} is used as of {', '.join(sorted(each))}" for family, each in used.items() if len(each) > 1]
