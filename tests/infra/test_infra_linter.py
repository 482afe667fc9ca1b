"""The compiler's linter finds nothing in the files, as far as a parser can see."""

from collections.abc import Callable

import pytest

from tests.infra import linter, rules
from tests.infra.bicep import Template
from tests.infra.given import changed, files
from tests.infra.versions import AS_OF, VERSIONS, family_of

Check = Callable[[dict[str, Template]], list[str]]
CHECKS: dict[Check, list[tuple[str, str, str, str]]] = {
    linter.bare_types: [
        ("cosmos", "param tags Tags", "param tags object", "has the type object"),
        ("network", "param services Service[]", "param services array", "has the type array"),
        ("network", "  zone: string\n", "  zone: object[]\n", "has the type object"),
        ("types", "*: string", "*: any", "has the type any"),
        ("identity", "output id string", "output id any", "has the type any"),
    ],
    linter.stale_versions: [
        ("openai", "accounts@2026-03-01'", "accounts@2025-10-01-preview'", "is of a preview: 2025-10-01-preview"),
        ("cosmos", "sqlDatabases@2025-10-15", "sqlDatabases@2024-11-15", "more than two years: 2024-11-15"),
        ("monitoring", "components@2020-02-02", "components@2015-05-01", "more than two years: 2015-05-01"),
    ],
    linter.ids_as_text: [
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
    linter.undescribed: [
        ("identity", "@description('The resource id of the identity.')\n", "", "id has no description"),
        ("main", "@description('Python of the app.')\n", "", "pythonVersion has no description"),
        ("types", "@description('Tags of a resource, by name.')\n", "", "Tags has no description"),
        ("network", "  @description('The resource id of the service.')\n", "", "id has no description"),
    ],
    linter.named_modules: [
        ("main", "= {\n  scope: group\n", "= {\n  name: 'identity'\n  scope: group\n", "identity has a name"),
    ],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_there_are_no(check: Check) -> None:
    assert check(files()) == []


@pytest.mark.parametrize(
    ("check", "name", "old", "new", "said"), [(check, *mistake) for check, found in CHECKS.items() for mistake in found]
)
def test_a_finding_is_reported(check: Check, name: str, old: str, new: str, said: str) -> None:
    assert any(said in problem for problem in check(changed(name, old, new)))


def test_the_table_of_versions_is_that_of_the_files() -> None:
    used = {tuple(resource.kind.split("@")) for _, _, resource in rules.resources(files())}

    assert {(family_of(kind), version) for kind, version in used} == {
        (family, row.used) for family, row in VERSIONS.items()
    }
    assert [family for family, row in VERSIONS.items() if not row.used <= row.newest <= AS_OF.isoformat()] == []
    assert not [row for row in VERSIONS.values() if "preview" in row.used + row.newest]
