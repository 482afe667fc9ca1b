"""host.json: one file per durable backend, which azd packages, and a documented reason for every setting."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.infra.bicep_parser import parse
from turnlog.local.host.options import options_of

ROOT = Path(__file__).parents[2]
FILES = {"azureStorage": ROOT / "host.json", "azureManaged": ROOT / "infra" / "host.azureManaged.json"}
HOSTS: dict[str, dict[str, Any]] = {backend: json.loads(file.read_text()) for backend, file in FILES.items()}
REASONS = (ROOT / "docs" / "run" / "host.md").read_text()


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its path."""
    if not isinstance(value, dict):
        yield path, value
        return
    for name, inner in cast("dict[str, Any]", value).items():
        yield from leaves(inner, f"{path}.{name}".lstrip("."))


def durable(host: dict[str, Any]) -> dict[str, Any]:
    return host["extensions"]["durableTask"]


def test_both_files_differ_only_in_the_storage_provider() -> None:
    without = [json.loads(json.dumps(host)) for host in HOSTS.values()]
    providers = [durable(host).pop("storageProvider") for host in without]

    assert without[0] == without[1]
    assert [provider["type"] for provider in providers] == list(FILES)


def test_every_deployable_backend_has_a_file() -> None:
    assert parse((ROOT / "infra" / "main.bicep").read_text()).allowed["durableBackend"] == list(FILES)


def test_the_app_has_the_setting_that_names_the_scheduler() -> None:
    name = durable(HOSTS["azureManaged"])["storageProvider"]["connectionStringName"]

    assert f"{name}:" in (ROOT / "infra" / "modules" / "app.bicep").read_text()


@pytest.mark.parametrize("backend", FILES)
def test_every_setting_has_its_reason(backend: str) -> None:
    documented = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| \S", REASONS, re.MULTILINE))
    settings = {
        path: value if value and isinstance(value, str) else json.dumps(value) for path, value in leaves(HOSTS[backend])
    }
    wrong = {
        path: value
        for path, value in settings.items()
        if documented.get(f"{path} ({backend})", documented.get(path)) != value
    }

    assert wrong == {}


def test_no_reason_remains_for_a_removed_setting() -> None:
    documented = re.findall(r"^\| `([\w.]+)(?: \((\w+)\))?` \| `", REASONS, re.MULTILINE)
    paths = {backend: dict(leaves(host)) for backend, host in HOSTS.items()}

    assert [
        path
        for path, backend in documented
        if not any(path in paths[each] for each in ([backend] if backend else paths))
    ] == []


def test_the_local_host_reads_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKHUB_NAME", "mine")

    options = options_of(ROOT, None, 0, Path())

    assert (options.task_hub, options.route_prefix) == ("mine", "")
    assert options.slots == durable(HOSTS["azureStorage"])["maxConcurrentActivityFunctions"]


@pytest.mark.parametrize("backend", FILES)
def test_the_host_logs_no_storage_requests_and_no_system_lines(backend: str) -> None:
    levels = HOSTS[backend]["logging"]["logLevel"]

    assert (levels["Azure.Core"], levels["DurableTask.AzureStorage"]) == ("Warning", "Warning")
    assert "default" not in levels  # with it, Core Tools print every line of the host


@pytest.mark.parametrize("backend", FILES)
def test_durable_tracing_is_set_or_the_host_would_warn_at_each_start(backend: str) -> None:
    assert durable(HOSTS[backend])["tracing"] == {"distributedTracingEnabled": True, "version": "V2"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the files that packaging needs."""
    (tmp_path / "infra").mkdir()
    for file in ("host.json", "infra/host.sh", "infra/host.azureManaged.json"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def run(folder: Path, command: str, **env: str) -> subprocess.CompletedProcess[str]:
    script = ["sh", str(folder / "infra" / "host.sh"), command]
    return subprocess.run(script, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, check=False)


def backend_of(folder: Path) -> str:
    return durable(json.loads((folder / "host.json").read_text()))["storageProvider"]["type"]


@pytest.mark.parametrize("env", [{}, {"DURABLE_BACKEND": ""}, {"DURABLE_BACKEND": "azureStorage"}])
def test_packaging_for_azure_storage_keeps_the_file(folder: Path, env: dict[str, str]) -> None:
    assert run(folder, "place", **env).returncode == 0

    assert (folder / "host.json").read_text() == FILES["azureStorage"].read_text()
    assert run(folder, "restore").returncode == 0
    assert backend_of(folder) == "azureStorage"


def test_packaging_for_the_scheduler_swaps_the_file_and_restores_it(folder: Path) -> None:
    assert run(folder, "place", DURABLE_BACKEND="azureManaged").returncode == 0
    assert backend_of(folder) == "azureManaged"

    assert run(folder, "restore", DURABLE_BACKEND="azureManaged").returncode == 0

    assert (folder / "host.json").read_text() == FILES["azureStorage"].read_text()
    assert sorted(path.name for path in (folder / "infra").iterdir()) == ["host.azureManaged.json", "host.sh"]


def test_an_interrupted_packaging_loses_nothing(folder: Path) -> None:
    (folder / "host.json").write_text(FILES["azureStorage"].read_text() + "\n")  # a local change
    mine = (folder / "host.json").read_text()
    for _ in range(2):
        assert run(folder, "place", DURABLE_BACKEND="azureManaged").returncode == 0

    assert run(folder, "place", DURABLE_BACKEND="azureStorage").returncode == 0

    assert (folder / "host.json").read_text() == mine


def test_an_unknown_backend_is_refused_by_name_before_packaging(folder: Path) -> None:
    done = run(folder, "place", DURABLE_BACKEND="netherite")

    assert (done.returncode, backend_of(folder)) == (1, "azureStorage")
    assert "DURABLE_BACKEND is netherite" in done.stderr


def test_azd_runs_the_script_before_and_after_packaging() -> None:
    lines = [line.strip() for line in (ROOT / "azure.yaml").read_text().splitlines()]

    assert lines[lines.index("prepackage:") :][2] == "run: sh infra/host.sh place"
    assert lines[lines.index("postpackage:") :][2] == "run: sh infra/host.sh restore"
    assert "infra/.host.json*" in (ROOT / ".gitignore").read_text().split()
