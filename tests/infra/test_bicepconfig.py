"""infra/bicepconfig.json enables every rule of the compiler's linter."""

import json
from typing import Any

from tests.infra.bicep_files import INFRA
from tests.infra.facts.api_versions import MAX_AGE

# github.com/Azure/bicep at 9beb0fee (21 August 2026), src/vscode-bicep/resources/configuration/bicepconfig.schema.json.
RULES = """
adminusername-should-not-be-literal artifacts-parameters decompiler-cleanup explicit-values-for-loc-params max-asserts
max-outputs max-params max-resources max-variables nested-deployment-template-scoping no-conflicting-metadata
no-deployments-resources no-explicit-any no-hardcoded-env-urls no-hardcoded-location no-hardcoded-outputs
no-loc-expr-outside-params no-module-name no-unnecessary-dependson no-unused-existing-resources no-unused-imports
no-unused-params no-unused-types no-unused-vars outputs-should-not-contain-secrets prefer-interpolation
prefer-unquoted-property-names protect-commandtoexecute-secrets secure-parameter-default secure-params-in-nested-deploy
secure-params-in-parameters-file secure-secrets-in-params simplify-interpolation simplify-json-null
stacks-extensibility-compat use-description-outputs use-description-params use-description-type-properties
use-description-types use-description-vars use-parent-property use-recent-api-versions use-recent-az-powershell-version
use-recent-module-versions use-recognized-resource-type use-resource-id-functions use-resource-symbol-reference
use-safe-access use-secure-value-for-secure-inputs use-stable-resource-identifiers use-stable-vm-image
use-user-defined-types what-if-short-circuiting
"""
# These are shown, but do not fail the build.
INFO = {
    "use-description-params": "main.bicep describes its parameters, and modules use the same names",
    "use-description-vars": "the name is clear, or a comment gives the reason",
    "what-if-short-circuiting": "names of role assignments are derived from the principal, known only in a deployment",
}
CONFIG: dict[str, Any] = json.loads((INFRA / "bicepconfig.json").read_text(encoding="utf-8"))


def test_every_rule_of_the_linter_is_on() -> None:
    core = CONFIG["analyzers"]["core"]
    levels = {rule: settings["level"] for rule, settings in core["rules"].items()}

    assert core["enabled"] is True
    assert sorted(levels) == sorted(RULES.split())
    assert set(levels.values()) == {"info", "warning", "error"}
    assert {rule for rule, level in levels.items() if level == "info"} == set(INFO)


def test_an_old_api_version_only_warns() -> None:
    recent = CONFIG["analyzers"]["core"]["rules"]["use-recent-api-versions"]

    assert recent == {"level": "warning", "maxAgeInDays": MAX_AGE.days}
