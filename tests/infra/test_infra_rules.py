"""The files contain nothing that Azure or azd refuses; the contents of the package and of azure.yaml."""

import re
from collections.abc import Callable
from fnmatch import fnmatch

import pytest

from tests.infra import azure_checks
from tests.infra.bicep_files import ROOT, load_files, with_mistake
from tests.infra.bicep_parser import Template, members, text_of
from tests.infra.facts.azure_limits import AZD_KEYS, GLOBALLY_UNIQUE, NAMES, PRIVATE_ZONES, VALUES
from turnlog.api.description.operations import operations
from turnlog.api.reference import asset_names
from turnlog.api.resources import RESOURCES

Check = Callable[[dict[str, Template]], list[str]]
CHECKS: dict[Check, list[tuple[str, str, str, str]]] = {
    azure_checks.unknown_values: [
        ("cosmos", "'Tls12'", "'TLS1_2'", "account can't be TLS1_2"),
        ("storage", "'TLS1_2'", "'Tls12'", "account can't be Tls12"),
        ("storage", "'Standard_ZRS'", "'Standard_RAGZRS'", "account can't be Standard_RAGZRS"),
        ("app", "'Return401'", "'Unauthorized'", "authentication can't be Unauthorized"),
        ("scheduler", "'Disabled'", "'None'", "scheduler can't be None"),
        ("signalr", "'Serverless'", "'Server'", "service can't be Server"),
        ("socketio", "'Serverless'", "'Server'", "service can't be Server"),
        ("hub", "'deny'", "'Deny'", "hub can't be Deny"),
    ],
    azure_checks.bad_names: [
        ("main", "'st${token}'", "'storage-${token}'", "account can't be named storage-"),
        ("main", "'cosmos-${token}'", "'the-sessions-of-turnlog-on-cosmos-db-${token}'", "account can't be named"),
        ("main", "'rg-${environmentName}'", "'resources of ${environmentName}'", "group can't be named"),
        ("main", "'func-${token}'", "'func-${environmentName}'", "site can't be named"),
        ("main", "'oai-${token}'", "'oai-turnlog'", "account has a name that may be taken: oai-turnlog"),
    ],
    azure_checks.badly_named_assignments: [
        (
            "storage",
            "guid(account.id, principalId, queueDataContributor)",
            "newGuid()",
            "queueRole has no name from",
        ),
        (
            "storage",
            "guid(account.id, principalId, queueDataContributor)",
            "guid(account.id, principalId, blobDataOwner)",
            "queueRole has the name of another assignment",
        ),
        (
            "cosmos",
            "guid(account.id, principalId",
            "guid(database.id, principalId",
            "contributor has the name of another",
        ),
        ("openai", "    principalType: 'ServicePrincipal'\n", "", "user has no principalType"),
    ],
    azure_checks.open_services: [
        ("storage", "isPrivate ? 'Disabled' : 'Enabled'", "'Enabled'", "storage does not follow networkIsolation"),
        ("main", "isPrivate: networkIsolation", "isPrivate: false", "storage does not follow networkIsolation"),
        ("main", "id: cosmos.outputs.id", "id: storage.outputs.id", "cosmos has no private endpoint"),
        ("main", "'privatelink.documents.azure.com'", "'privatelink.cosmos.azure.com'", "Sql is not reached through"),
        ("main", "group: 'queue'", "group: 'queues'", "queues is not reached through"),
    ],
    azure_checks.exposed_secrets: [
        (
            "main",
            "output AZURE_LOCATION string = location",
            "output KEY string = openaiApiKey",
            "KEY returns a secret",
        ),
        (
            "storage",
            "output id string = account.id",
            "output id string = account.listKeys().keys[0].value",
            "id returns",
        ),
        ("storage", "name: 'packages'", "name: listKeys(account.id, '2023-01-01').keys[0].value", "requests a secret"),
        (
            "storage",
            "name: 'packages'",
            "name: account!.listKeys().keys[0].value",
            "account!.listKeys() requests a secret",
        ),
        ("storage", "var blobDataOwner", "var key = listKeys(name, 'x')\nvar blobDataOwner", "requests a secret"),
        ("app", "string = 'https://${site", "string = '${socketioKeys.primaryKey}${site", "url returns a secret"),
        ("app", "string = 'https://${site", "string = '${string(socketioSettings)}${site", "url returns a secret"),
        ("app", "@secure()\n", "", "app: openaiApiKey is a secret, but is not declared as one"),
    ],
    azure_checks.unguarded_modules: [
        ("main", "scheduler!.outputs.endpoint", "scheduler.outputs.endpoint", "scheduler may not exist"),
    ],
    azure_checks.circular_modules: [
        ("main", "signalr == 'none' ? ''", "signalr == 'none' ? hub!.outputs.name", "app waits for hub waits for app"),
    ],
    azure_checks.wrongly_tagged: [
        ("app", "  tags: union(tags, { 'azd-service-name': 'app' })\n", "  tags: tags\n", "tagged resources: "),
        (
            "app",
            "  tags: tags\n  kind: 'functionapp'",
            "  tags: { 'azd-service-name': 'app' }\n  kind: 'functionapp'",
            "tagged resources: app: plan, app: site",
        ),
        (
            "main",
            "    name: 'func-${token}'\n",
            "    name: 'func-${token}'\n    more: { 'azd-service-name': 'app' }\n",
            "main: app",
        ),
    ],
    azure_checks.mixed_versions: [
        (
            "debugging",
            "storageAccounts@2025-08-01",
            "storageAccounts@2025-06-01",
            "Microsoft.Storage has the versions 2025-06-01, 2025-08-01",
        ),
        (
            "cosmos",
            "containers@2025-10-15",
            "containers@2026-03-15",
            "DocumentDB has the versions 2025-10-15, 2026-03-15",
        ),
    ],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_check_finds_nothing(check: Check) -> None:
    assert check(load_files()) == []


@pytest.mark.parametrize(
    ("check", "name", "old", "new", "finding"),
    [(check, *mistake) for check, found in CHECKS.items() for mistake in found],
)
def test_a_mistake_is_found(check: Check, name: str, old: str, new: str, finding: str) -> None:
    assert any(finding in problem for problem in check(with_mistake(name, old, new)))


def test_every_kind_of_name_is_checked() -> None:
    found = {kind for kind, _ in azure_checks.names(load_files()).values()}

    assert found >= set(NAMES) >= GLOBALLY_UNIQUE


def test_the_tables_contain_no_unused_entry() -> None:
    found = load_files()
    kinds = {resource.kind for _, _, resource in azure_checks.resources(found)}

    assert {entry.split(" ")[0] for entry in VALUES} <= kinds
    for entry in VALUES:  # without an allowed value, every property in the table is wrong
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(VALUES, entry, "none")
            assert azure_checks.unknown_values(found) != [], entry


def test_zones_and_subnets_of_the_network_are_listed_once() -> None:
    network = (ROOT / "infra" / "modules" / "network.bicep").read_text()

    assert len(set(PRIVATE_ZONES.values())) == len(PRIVATE_ZONES)
    assert re.search(r"name: 'app'\n\s+properties: \{\n\s+addressPrefix: cidrSubnet\(addresses, 26, 0\)", network)
    assert "serviceName: 'Microsoft.App/environments'" in network
    file = load_files()["network"]
    subnets = {
        text_of(each["name"])
        for each in map(
            members, members(members(file.resources["network"].body)["properties"])["subnets"].named_children
        )
    }
    named = [resource for resource in file.resources.values() if "/subnets@" in resource.kind]
    assert {text_of(members(resource.body)["name"]) for resource in named} == subnets
    assert all(resource.exists for resource in named)


def test_azure_yaml_has_keys_that_azd_knows_and_the_tagged_service() -> None:
    keys, levels = set[str](), list[str]()
    for line in (ROOT / "azure.yaml").read_text().splitlines():
        if (entry := re.match(r"( *)(\w+):", line)) is not None:
            levels = [*levels[: len(entry[1]) // 2], entry[2]]
            keys.add(".".join(levels))

    assert keys <= AZD_KEYS
    assert keys >= {"requiredVersions.azd", "services.app.project", "services.app.language", "services.app.host"}
    assert "'azd-service-name': 'app'" in (ROOT / "infra" / "modules" / "app.bicep").read_text()


def test_app_service_needs_no_token_for_the_open_routes_of_the_app() -> None:
    app = load_files()["app"]
    excluded = app.value(app.resources["authentication"].body)["properties"]["globalValidation"]["excludedPaths"]
    # The console is left out: the paths of its files change with their content, and only exact paths are given.
    public = [each for each in operations(RESOURCES) if each.description.is_public and each.tag != "console"]
    paths = {each.path.replace("{asset}", name) for each in public for name in asset_names()}

    assert sorted(excluded) == sorted(paths | {"/admin/host/synctriggers"})
    signed = "/socketio/events"  # its handlers take only what Web PubSub has signed
    assert {each.method for each in public if each.path != signed} == {"GET"}, "a path is open for every method"


def test_app_service_is_given_exact_paths() -> None:
    """A pattern would also open the routes that are added below it."""
    app = load_files()["app"]
    excluded = app.value(app.resources["authentication"].body)["properties"]["globalValidation"]["excludedPaths"]

    assert [path for path in excluded if not re.fullmatch(r"(/[a-z][a-z0-9-]*)+(\.[a-z]+)?", path)] == []


INCLUDED = ["host.json", "function_app.py", "requirements.txt"]
EXCLUDED = [
    "bench",
    "docs",
    "examples/agents/raffle.py",
    "infra",
    "turnlog/local/run.py",
    "tests",
    "tools",
    "Makefile",
    "README.md",
    "azure.yaml",
    "clients/typescript/src/index.ts",
    "pyproject.toml",
    "requirements-dev.txt",
    "local.settings.json",
    ".git",
    ".venv",
    ".data",
]


def test_the_package_contains_only_the_app() -> None:
    ignored = (ROOT / ".funcignore").read_text().split()
    code = [str(path.relative_to(ROOT)) for path in (ROOT / "turnlog").rglob("*") if path.is_file()]
    app = [path for path in code if "__pycache__" not in path and not path.startswith("turnlog/local/")]

    assert len(app) > 100
    assert [path for path in [*INCLUDED, *app] if _is_ignored(path, ignored)] == []
    assert [path for path in EXCLUDED if not _is_ignored(path, ignored)] == []


def _is_ignored(path: str, patterns: list[str]) -> bool:
    """Like in .gitignore, a pattern without a slash matches at any depth, and one with a slash from the root."""
    rooted = [pattern for pattern in patterns if "/" in pattern]
    anywhere = [pattern for pattern in patterns if "/" not in pattern]
    return any(f"{path}/".startswith(f"{pattern.strip('/')}/") for pattern in rooted) or any(
        fnmatch(part, pattern) for part in path.split("/") for pattern in anywhere
    )
