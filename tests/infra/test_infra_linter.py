"""The compiler's linter would find nothing in the files, as far as a parser can check that."""

from collections.abc import Callable

import pytest

from tests.infra import azure_checks, linter_checks
from tests.infra.bicep_files import load_files, with_mistake
from tests.infra.bicep_parser import Template
from tests.infra.facts.api_versions import AS_OF, VERSIONS, family_of

Check = Callable[[dict[str, Template]], list[str]]
CHECKS: dict[Check, list[tuple[str, str, str, str]]] = {
    linter_checks.bare_types: [
        ("cosmos", "param tags Tags", "param tags object", "has the type object"),
        ("network", "param services Service[]", "param services array", "has the type array"),
        ("network", "  zone: string\n", "  zone: object[]\n", "has the type object"),
        ("types", "*: string", "*: any", "has the type any"),
        ("identity", "output id string", "output id any", "has the type any"),
    ],
    linter_checks.stale_versions: [
        ("openai", "accounts@2026-03-01'", "accounts@2025-10-01-preview'", "has a preview version: 2025-10-01-preview"),
        ("cosmos", "sqlDatabases@2025-10-15", "sqlDatabases@2024-11-15", "older than two years: 2024-11-15"),
        ("monitoring", "components@2020-02-02", "components@2015-05-01", "older than two years: 2015-05-01"),
    ],
    linter_checks.ids_as_text: [
        ("network", "privateLinkServiceId: services[index].id", "privateLinkServiceId: service.id", "from service.id"),
        ("network", "= appSubnet.id", "= '${network.id}/subnets/app'", "'${network.id}/subnets/app' is an id as text"),
        ("cosmos", ": contributorRole.id", ": '${account.id}/sqlRoleDefinitions/${dataContributor}'", "as text"),
        ("workbook", "sourceId: insightsId", "sourceId: '/subscriptions/x/${insightsId}'", "is an id as text"),
        ("workbook", "sourceId: insightsId", "sourceId: 'components/${insightsId}'", "has sourceId from"),
        (
            "storage",
            "subscriptionResourceId('Microsoft",
            "concat('Microsoft",
            "blobRole has roleDefinitionId from concat(",
        ),
    ],
    linter_checks.undescribed: [
        ("identity", "@description('The resource id of the identity.')\n", "", "id has no description"),
        ("main", "@description('Python of the app.')\n", "", "pythonVersion has no description"),
        ("types", "@description('Tags of a resource, by name.')\n", "", "Tags has no description"),
        ("network", "  @description('The resource id of the service.')\n", "", "id has no description"),
    ],
    linter_checks.named_modules: [
        ("main", "= {\n  scope: group\n", "= {\n  name: 'identity'\n  scope: group\n", "identity has a name"),
    ],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_check_finds_nothing(check: Check) -> None:
    assert check(load_files()) == []


@pytest.mark.parametrize(
    ("check", "name", "old", "new", "finding"),
    [(check, *mistake) for check, found in CHECKS.items() for mistake in found],
)
def test_a_finding_is_reported(check: Check, name: str, old: str, new: str, finding: str) -> None:
    assert any(finding in problem for problem in check(with_mistake(name, old, new)))


def test_the_table_of_versions_matches_the_files() -> None:
    used = {tuple(resource.kind.split("@")) for _, _, resource in azure_checks.resources(load_files())}

    assert {(family_of(kind), version) for kind, version in used} == {
        (family, row.used) for family, row in VERSIONS.items()
    }
    assert [family for family, row in VERSIONS.items() if not row.used <= row.newest <= AS_OF.isoformat()] == []
    assert not [row for row in VERSIONS.values() if "preview" in row.used + row.newest]
