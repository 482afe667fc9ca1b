"""The Bicep files of `azd up` fit together, fit the code, and fit the known facts about Azure. Nothing is deployed."""

import re
import shutil
import subprocess
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from tests.infra import code_checks
from tests.infra.bicep_files import INFRA, ROOT, TEXTS, load_files, with_mistake
from tests.infra.bicep_parser import Expression, Template, parse
from tests.infra.facts.azure_facts import PLATFORM_SETTINGS, PROPERTIES, READABLE, REQUIRED, ROLES
from turnlog.settings import Settings

PARAMETERS = (INFRA / "main.parameters.json").read_text()
HOST = (ROOT / "host.json").read_text()
DEPLOY_DOC = (ROOT / "docs" / "run" / "deploy.md").read_text()
LEASES = """    name: 'leases'
    partitionKey: '/id'
    defaultTtl: -1
"""


Check = Callable[[dict[str, Template]], list[str]]
CHECKS: dict[Check, list[tuple[str, str, str, str]]] = {
    code_checks.unparsed: [
        ("cosmos", "disableLocalAuth: true", "disableLocalAuth: true }", "line"),
        ("main", "param model string", "param model = = string", "line"),
    ],
    code_checks.unresolved: [
        ("main", "scope: group", "scope: grupp", "grupp is not declared"),
        ("app", "url string = 'https://${site.", "url string = 'https://${sight.", "sight is not declared"),
        ("storage", "param name string", "param name string\nparam unused string", "unused is not used"),
        ("storage", "param tags Tags", "param tags Tag", "Tag is not declared"),
        ("storage", "param tags Tags", "param tags string", "Tags is not used"),
        ("network", "param services Service[]", "param services string[]", "Service is not used"),
    ],
    code_checks.wrong_imports: [
        ("storage", "{ Tags }", "{ Labels }", "types does not export Labels"),
        ("types", "@export()\n", "", "types does not export Tags"),
        ("types", "type Tags", "@export()\ntype Unused = string\n\n@export()\ntype Tags", "no file imports Unused"),
    ],
    code_checks.wrong_modules: [
        ("main", "taskHub: taskHub\n    schedulerEndpoint", "schedulerEndpoint", "taskHub is not given"),
        ("main", "capacity: cosmosCapacity", "kapacity: cosmosCapacity", "kapacity is not a parameter"),
        ("main", "storage.outputs.deploymentContainer", "storage.outputs.packages", "packages is not an output"),
        ("main", "openai!.outputs.baseUrl", "openai!.outputs.url", "url is not an output"),
        ("main", "'modules/cosmos.bicep'", "'modules/kosmos.bicep'", "there is no modules/kosmos.bicep"),
    ],
    code_checks.unknown_settings: [
        ("app", "SIGNALR_ENDPOINT:", "SIGNALR_URL:", "nothing reads SIGNALR_URL"),
        ("app", "SOCKETIO_ACCESS_KEYS:", "SOCKETIO_KEYS:", "nothing reads SOCKETIO_KEYS"),
        ("app", "WEBSOCKET_ENDPOINT:", "WEBSOCKET_URL:", "nothing reads WEBSOCKET_URL"),
        ("app", "JWT_JWKS_URL:", "JWT_KEYS:", "nothing reads JWT_KEYS"),
        ("app", "COSMOS_ENDPOINT:", "COSMOS_URL:", "nothing reads COSMOS_URL"),
        ("app", "DURABLE_TASK_SCHEDULER_CONNECTION_STRING:", "DTS:", "nothing reads DTS"),
    ],
    code_checks.forbidden_settings: [
        ("app", "MODEL: model", "MODEL: model\n  FUNCTIONS_WORKER_RUNTIME: 'python'", "FUNCTIONS_WORKER_RUNTIME"),
        ("app", "minTlsVersion: '1.2'", "linuxFxVersion: 'Python|3.13'", "linuxFxVersion is forbidden"),
    ],
    code_checks.wrong_roles: [
        ("storage", "b7e6dc6d", "b7e6dc6e", "blobDataOwner is"),
        ("openai", "var openaiUser", "var openaiOwner", "openaiOwner is"),
        ("signalr", "7e4f1700", "7e4f1701", "signalrServiceOwner is"),
        ("socketio", "12cf5a90", "12cf5a91", "webPubSubServiceOwner is"),
        ("scheduler", "  scope: hub\n", "", "has no scope"),
        (
            "monitoring",
            "roleDefinitions', metricsPublisher",
            "roleDefinitions', principalId",
            "assigns an unknown role",
        ),
    ],
    code_checks.wrong_containers: [
        ("cosmos", "'/session_id'", "'/id'", "sessions: another partition key"),
        ("cosmos", "        { path: '/last_non_delta/?' }\n", "", "sessions: another index policy"),
        ("cosmos", "order: 'descending'", "order: 'ascending'", "sessions: another index policy"),
        ("cosmos", "name: 'sessions'", "name: 'session'", "sessions is not provisioned"),
        ("cosmos", "name: 'leases'", "name: 'lease'", "lease is not in containers.py"),
        ("cosmos", "name: 'leases'", "name: 'lease'", "leases is not provisioned"),
        ("cosmos", LEASES, LEASES.replace("/id", "/lease"), "leases: another partition key"),
        ("cosmos", LEASES, LEASES.replace("-1", "60"), "leases: another time to live"),
        ("cosmos", "includedPaths: [{ path: '/*' }]", "includedPaths: []", "leases: another index policy"),
        ("cosmos", "defaultTtl: -1", "defaultTtl: 60", "sessions: another time to live"),
        ("cosmos", "defaultTtl: 604800", "defaultTtl: -1", "rooms: another time to live"),
        ("cosmos", "defaultTtl: container.defaultTtl", "defaultTtl: -1", "another time to live"),
    ],
    code_checks.unknown_properties: [
        ("storage", "allowSharedKeyAccess", "allowSharedKeys", "account has no properties.allowSharedKeys"),
        ("cosmos", "autoscaleSettings", "autoScale", "options.autoScale"),
        ("hub", "systemEvents:", "systemEventPattern:", "hub has no properties.eventHandlers.systemEventPattern"),
        ("app", "serverfarms@2025-03-01", "serverfarms@2099-01-01", "not in the table"),
    ],
    code_checks.unknown_reads: [
        ("storage", "primaryEndpoints.blob", "primaryEndpoints.blobs", "account has no primaryEndpoints.blobs to read"),
        ("app", "site.properties.defaultHostName", "plan.properties.defaultHostName", "plan has no defaultHostName"),
    ],
    code_checks.missing_requirements: [
        ("cosmos", "'Strong'", "'Session'", "decisions read the newest state"),
        ("app", "http20Enabled: true", "http20Enabled: false", "six open streams would block a browser"),
        ("app", "perInstanceConcurrency: 100", "perInstanceConcurrency: 1", "every open stream would need an instance"),
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


@pytest.mark.parametrize(("name", "symbol", "path"), REQUIRED)
def test_a_missing_required_value_is_found(name: str, symbol: str, path: str) -> None:
    without = re.sub(rf"\b{path.rsplit('.', 1)[-1]}:", "dropped:", TEXTS[name])

    found = code_checks.missing_requirements(load_files() | {name: parse(without)})

    assert any(f"{name}: {symbol} has None for {path}" in problem for problem in found)


def test_the_parameters_file_matches_the_template_and_its_defaults() -> None:
    assert code_checks.wrong_parameters(load_files(), PARAMETERS) == []


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ('"model":', '"modell":', "modell is not a parameter"),
        ('"model":', '"modell":', "model is not given"),
        ("${COSMOS_MAX_THROUGHPUT=1000}", "${COSMOS_MAX_THROUGHPUT=400}", "differs from main.bicep"),
        ("${MODEL}", "${MODEL=}", "differs from main.bicep"),
    ],
)
def test_a_mistake_in_the_parameters_is_found(old: str, new: str, finding: str) -> None:
    assert old in PARAMETERS
    assert any(
        finding in problem for problem in code_checks.wrong_parameters(load_files(), PARAMETERS.replace(old, new, 1))
    )


def test_a_value_that_a_deployment_makes_is_a_secret() -> None:
    found = code_checks.wrong_parameters(
        with_mistake("main", "corsOrigins string = ''", "corsOrigins string = newGuid()"), PARAMETERS
    )

    assert "corsOrigins is made by each deployment, but is no secret" in found


def test_a_default_that_is_not_allowed_is_found() -> None:
    found = code_checks.wrong_parameters(
        with_mistake("main", "durableBackend string = 'azureStorage'", "durableBackend string = 'netherite'"),
        PARAMETERS.replace("${DURABLE_BACKEND=azureStorage}", "${DURABLE_BACKEND=netherite}"),
    )

    assert found == ["durableBackend: netherite is not allowed"]


def test_every_parameter_is_documented() -> None:
    assert code_checks.undocumented_parameters(PARAMETERS, DEPLOY_DOC) == []
    assert code_checks.undocumented_parameters(PARAMETERS, DEPLOY_DOC.replace("`MODEL_SKU`", "")) == [
        "MODEL_SKU is not explained"
    ]


def test_settings_override_only_paths_that_host_json_has() -> None:
    assert code_checks.unknown_host_json_paths(load_files(), HOST) == []
    moved = code_checks.unknown_host_json_paths(load_files(), HOST.replace('"storageProvider"', '"storage"'))
    assert [problem.rsplit("__", 1)[-1] for problem in moved] == [
        "type is not a path of host.json",
        "connectionStringName is not a path of host.json",
    ]


def test_the_app_starts_in_azure_only_with_all_its_settings(environment: pytest.MonkeyPatch) -> None:
    examples = {
        "cosmosEndpoint": "https://x.documents.azure.com:443/",
        "openaiBaseUrl": "https://x.openai.azure.com/",
        "insightsConnectionString": "InstrumentationKey=x",
        "signalrEndpoint": "https://x.service.signalr.net",
        "socketioEndpoint": "https://x.webpubsub.azure.com",
        "websocketEndpoint": "https://y.webpubsub.azure.com",
        "authMode": "easyauth",
        "ticketKey": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "jwtJwksUrl": "https://x.example/keys",
    }
    values = {
        name: examples.get(value.text, value.text) if isinstance(value, Expression) else value
        for name, value in code_checks.app_settings(load_files()).items()
        if name != "OPENAI_API_KEY"  # set only with an endpoint that takes keys
    }
    values["APPLICATIONINSIGHTS_CONNECTION_STRING"] = "InstrumentationKey=0;IngestionEndpoint=https://x.azure.com/"
    for name, value in {"WEBSITE_INSTANCE_ID": "1", **values}.items():
        environment.setenv(name, value)

    assert load_settings().auth_mode == "easyauth"
    for name in ("COSMOS_ENDPOINT", "OPENAI_BASE_URL", "MODEL", "AUTH_MODE", "TICKET_KEY", "SOCKETIO_ACCESS_KEYS"):
        with environment.context() as without:
            without.delenv(name)
            with pytest.raises(ValidationError, match=name):
                load_settings()
    environment.setenv("AUTH_MODE", "jwt")
    assert load_settings().jwt_jwks_url == "https://x.example/keys"
    for name in ("JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS_URL"):
        with environment.context() as without:
            without.delenv(name)
            with pytest.raises(ValidationError, match=name):
                load_settings()


def load_settings() -> Settings:
    return Settings()  # pyright: ignore[reportCallIssue]  # fields come from the environment


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_the_task_hub_of_the_scheduler_is_the_apps() -> None:
    main = load_files()["main"]
    hub = main.value(main.variables["taskHub"])

    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", hub)
    assert TEXTS["main"].count("taskHub: taskHub\n") == 2
    assert '"hubName": "%TASKHUB_NAME%"' in HOST


def test_the_tables_contain_no_unused_entry() -> None:
    found = load_files()

    assert {resource.kind for file in found.values() for resource in file.resources.values()} == set(PROPERTIES)
    assert {name for file in found.values() for name in file.variables} >= set(ROLES)
    assert {
        (file.resources[symbol].kind.partition("@")[0], path)
        for file in found.values()
        for symbol, path in code_checks.property_reads(file)
    } == {(kind, path) for kind, paths in READABLE.items() for path in paths.split()}
    assert set(code_checks.app_settings(found)) >= set(PLATFORM_SETTINGS)


COMPILERS = {"bicep": ["bicep", "build", "--stdout"], "az": ["az", "bicep", "build", "--stdout", "--file"]}
COMPILER = next((command for name, command in COMPILERS.items() if shutil.which(name)), None)


# .ci/run has no compiler, because no package registry has one. The job `bicep` of the public workflow does.
@pytest.mark.skipif(COMPILER is None, reason="neither bicep nor az is on the PATH")
def test_the_bicep_compiler_finds_nothing() -> None:
    assert COMPILER is not None
    done = subprocess.run([*COMPILER, INFRA / "main.bicep"], check=False, capture_output=True, text=True)

    # It may also print that a newer version exists.
    assert [line for line in done.stderr.splitlines() if ": Warning " in line or ": Error " in line] == []
    assert done.returncode == 0
