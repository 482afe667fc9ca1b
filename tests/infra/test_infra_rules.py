"""What Azure or azd would refuse is not in the files; and what the package and azure.yaml hold."""

import re
from collections.abc import Callable
from fnmatch import fnmatch

import pytest

from shared.api.description.operations import operations
from shared.api.resources import RESOURCES
from tests.infra import rules
from tests.infra.bicep import Template, members, text_of
from tests.infra.given import ROOT, changed, files
from tests.infra.limits import AZD_KEYS, NAMES, PRIVATE_ZONES, UNIQUE_IN_THE_WORLD, VALUES

Check = Callable[[dict[str, Template]], list[str]]
CHECKS: dict[Check, list[tuple[str, str, str, str]]] = {
    rules.unknown_values: [
        ("cosmos", "'Tls12'", "'TLS1_2'", "account can't be TLS1_2"),
        ("storage", "'TLS1_2'", "'Tls12'", "account can't be Tls12"),
        ("storage", "'Standard_ZRS'", "'Standard_RAGZRS'", "account can't be Standard_RAGZRS"),
        ("app", "'Return401'", "'Unauthorized'", "authentication can't be Unauthorized"),
        ("scheduler", "'Disabled'", "'None'", "scheduler can't be None"),
        ("signalr", "'Serverless'", "'Server'", "service can't be Server"),
    ],
    rules.bad_names: [
        ("main", "'st${token}'", "'storage-${token}'", "account can't be named storage-"),
        ("main", "'cosmos-${token}'", "'the-sessions-of-turnlog-on-cosmos-db-${token}'", "account can't be named"),
        ("main", "'rg-${environmentName}'", "'resources of ${environmentName}'", "group can't be named"),
        ("main", "'func-${token}'", "'func-${environmentName}'", "site can't be named"),
        ("main", "'oai-${token}'", "'oai-turnlog'", "account has a name that others may have: oai-turnlog"),
    ],
    rules.badly_made_assignments: [
        (
            "storage",
            "guid(account.id, principalId, queueDataContributor)",
            "newGuid()",
            "queueRole has no name made by",
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
    rules.open_services: [
        ("storage", "isPrivate ? 'Disabled' : 'Enabled'", "'Enabled'", "storage does not follow networkIsolation"),
        ("main", "isPrivate: networkIsolation", "isPrivate: false", "storage does not follow networkIsolation"),
        ("main", "id: cosmos.outputs.id", "id: storage.outputs.id", "cosmos has no private endpoint"),
        ("main", "'privatelink.documents.azure.com'", "'privatelink.cosmos.azure.com'", "Sql is not reached through"),
        ("main", "group: 'queue'", "group: 'queues'", "queues is not reached through"),
    ],
    rules.told_secrets: [
        (
            "main",
            "output AZURE_LOCATION string = location",
            "output KEY string = openaiApiKey",
            "KEY puts out a secret",
        ),
        (
            "storage",
            "output id string = account.id",
            "output id string = account.listKeys().keys[0].value",
            "id puts out",
        ),
        ("storage", "name: 'packages'", "name: listKeys(account.id, '2023-01-01').keys[0].value", "asks for a secret"),
        ("app", "@secure()\n", "", "app: openaiApiKey is a secret, and not declared as one"),
    ],
    rules.unguarded_modules: [
        ("main", "scheduler!.outputs.endpoint", "scheduler.outputs.endpoint", "scheduler may not be there"),
    ],
    rules.wrongly_tagged: [
        ("app", "  tags: union(tags, { 'azd-service-name': 'app' })\n", "  tags: tags\n", "tagged are "),
        (
            "app",
            "  tags: tags\n  kind: 'functionapp'",
            "  tags: { 'azd-service-name': 'app' }\n  kind: 'functionapp'",
            "tagged are app: plan, app: site",
        ),
        (
            "main",
            "    name: 'func-${token}'\n",
            "    name: 'func-${token}'\n    more: { 'azd-service-name': 'app' }\n",
            "main: app",
        ),
    ],
    rules.mixed_versions: [
        (
            "debugging",
            "storageAccounts@2025-08-01",
            "storageAccounts@2025-06-01",
            "Microsoft.Storage is used as of 2025-06-01, 2025-08-01",
        ),
        ("cosmos", "containers@2025-10-15", "containers@2026-03-15", "DocumentDB is used as of 2025-10-15, 2026-03-15"),
    ],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_there_are_no(check: Check) -> None:
    assert check(files()) == []


@pytest.mark.parametrize(
    ("check", "name", "old", "new", "said"), [(check, *mistake) for check, found in CHECKS.items() for mistake in found]
)
def test_a_breach_is_found(check: Check, name: str, old: str, new: str, said: str) -> None:
    assert any(said in problem for problem in check(changed(name, old, new)))


def test_no_name_escapes_its_check() -> None:
    found = {kind for kind, _ in rules.names(files()).values()}

    assert found >= set(NAMES) >= UNIQUE_IN_THE_WORLD


def test_the_tables_of_rules_hold_nothing_that_is_not_used() -> None:
    found = files()
    kinds = {resource.kind for _, _, resource in rules.resources(found)}

    assert {entry.split(" ")[0] for entry in VALUES} <= kinds
    for entry in VALUES:  # with no value left, each property in the table is found wrong
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(VALUES, entry, "none")
            assert rules.unknown_values(found) != [], entry


def test_each_place_in_the_network_is_on_one_list() -> None:
    network = (ROOT / "infra" / "modules" / "network.bicep").read_text()

    assert len(set(PRIVATE_ZONES.values())) == len(PRIVATE_ZONES)
    assert re.search(r"name: 'app'\n\s+properties: \{\n\s+addressPrefix: cidrSubnet\(addresses, 26, 0\)", network)
    assert "serviceName: 'Microsoft.App/environments'" in network
    file = files()["network"]
    subnets = {
        text_of(each["name"])
        for each in map(
            members, members(members(file.resources["network"].body)["properties"])["subnets"].named_children
        )
    }
    named = [resource for resource in file.resources.values() if "/subnets@" in resource.kind]
    assert {text_of(members(resource.body)["name"]) for resource in named} == subnets
    assert all(resource.exists for resource in named)


def test_azure_yaml_says_what_azd_knows_and_names_the_service_that_is_tagged() -> None:
    keys, levels = set[str](), list[str]()
    for line in (ROOT / "azure.yaml").read_text().splitlines():
        if (entry := re.match(r"( *)(\w+):", line)) is not None:
            levels = [*levels[: len(entry[1]) // 2], entry[2]]
            keys.add(".".join(levels))

    assert keys <= AZD_KEYS
    assert keys >= {"requiredVersions.azd", "services.app.project", "services.app.language", "services.app.host"}
    assert "'azd-service-name': 'app'" in (ROOT / "infra" / "modules" / "app.bicep").read_text()


def test_app_service_lets_pass_without_a_token_what_the_app_answers_to_anyone() -> None:
    app = files()["app"]
    excluded = app.value(app.resources["authentication"].body)["properties"]["globalValidation"]["excludedPaths"]
    is_public = {re.sub(r"{\w+}", "*", each.path) for each in operations(RESOURCES) if each.description.is_public}

    assert set(excluded) == is_public | {"/admin/host/synctriggers"}


NEEDED = ["host.json", "function_app.py", "requirements.txt"]
BESIDE = [
    "bench",
    "docs",
    "infra",
    "local",
    "tests",
    "Makefile",
    "README.md",
    "azure.yaml",
    "pyproject.toml",
    "requirements-dev.txt",
    "local.settings.json",
    ".git",
    ".venv",
    ".data",
]


def test_the_package_holds_the_app_and_nothing_else() -> None:
    ignored = (ROOT / ".funcignore").read_text().split()
    folders = ("shared", "orchestrations", "changes")
    code = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    app = [str(path.relative_to(ROOT)) for path in code if "__pycache__" not in path.parts]

    assert len(app) > 100
    assert [path for path in [*NEEDED, *app] if _is_ignored(path, ignored)] == []
    assert [path for path in BESIDE if not _is_ignored(path, ignored)] == []


def _is_ignored(path: str, patterns: list[str]) -> bool:
    """As .gitignore has it: a pattern without a slash holds at any depth."""
    return any(fnmatch(part, pattern) for part in path.split("/") for pattern in patterns)
