"""The workflow of the public CI is valid, pins its versions, and calls only things that exist."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.bicep_files import ROOT

FILE = ROOT / ".github" / "workflows" / "ci.yml"
WORKFLOW = FILE.read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

_VALIDATE = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
_PINNED = {
    "an action": r"uses: (?!\S+@v\d+$)(\S+)",
    "a package": r"npm install --global (?!(?:\S+@\d+\.\d+\.\d+ ?)+$)(.+)",
    "the compiler": r"BICEP: (?!v\d+\.\d+\.\d+$)(.+)",
    "a runner": r"runs-on: (\S+-latest)",
}


def invalid(workflow: str, folder: Path) -> list[str]:
    """Errors by the schema of GitHub workflows. The package contains the schema; nothing is downloaded."""
    copy = folder / "ci.yml"
    copy.write_text(workflow, encoding="utf-8")
    done = subprocess.run([*_VALIDATE, str(copy)], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [done.stdout + done.stderr]


def missing(workflow: str, _: Path) -> list[str]:
    """Make targets, files and folders that the steps name, but that do not exist."""
    steps = re.sub(r"#.*|\$GITHUB_WORKSPACE/", "", workflow)
    targets = re.findall(r"\bmake ([\w-]+)", steps)
    named = re.findall(r"(?<![\w./:-])((?:\.ci|infra|tests|local)/[\w./]+)", steps)
    return [f"make {target}" for target in targets if not re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)] + [
        path for path in named if not (ROOT / path).exists()
    ]


def unpinned(workflow: str, _: Path) -> list[str]:
    """Versions that may change from day to day, and jobs without a time limit or with write access."""
    found = [f"{kind}: {match[1]}" for kind, pattern in _PINNED.items() for match in _lines(pattern, workflow)]
    jobs = re.split(r"^  (?=[\w-]+:$)", workflow.partition("\njobs:\n")[2], flags=re.MULTILINE)[1:]
    found += [f"no time limit: {job.partition(':')[0]}" for job in jobs if "\n    timeout-minutes: " not in job]
    return found if "\npermissions:\n  contents: read\n\n" in workflow else [*found, "it may write"]


def _lines(pattern: str, workflow: str) -> list[re.Match[str]]:
    return list(re.finditer(pattern, workflow, re.MULTILINE))


Check = Callable[[str, Path], list[str]]
CHECKS: dict[Check, list[tuple[str, str, str]]] = {
    invalid: [
        ("runs-on: ubuntu-24.04", "runs_on: ubuntu-24.04", "runs"),
        ("timeout-minutes: 100", "timeout-minutes: soon", "timeout-minutes"),
        ("    steps:\n", "    stages:\n", "stages"),
        ("  pull_request:\n", "  pull_requests:\n", "pull_requests"),
        ("jobs:\n", "jobs: [\n", "ci.yml"),
    ],
    missing: [
        ("make install", "make instal", "make instal"),
        ("run: .ci/run", "run: .ci/runs", ".ci/runs"),
        ("/infra/main.bicep", "/infra/mian.bicep", "infra/mian.bicep"),
        ("pytest tests/e2e", "pytest tests/e3e", "tests/e3e"),
    ],
    unpinned: [
        ("actions/checkout@v6", "actions/checkout@main", "an action: actions/checkout@main"),
        (" azurite@3.37.0", " azurite", "a package: azure-functions-core-tools@4.15.1 azurite"),
        (
            "azure-functions-core-tools@4.15.1",
            "azure-functions-core-tools@4",
            "a package: azure-functions-core-tools@4 a",
        ),
        ("BICEP: v0.49.2", "BICEP: latest", "the compiler: latest"),
        ("ubuntu-24.04", "ubuntu-latest", "a runner: ubuntu-latest"),
        ("    timeout-minutes: 10\n", "", "no time limit: bicep"),
        ("contents: read", "contents: write", "it may write"),
    ],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_check_finds_nothing(check: Check, tmp_path: Path) -> None:
    assert check(WORKFLOW, tmp_path) == []


@pytest.mark.parametrize(
    ("check", "old", "new", "finding"), [(check, *mistake) for check, found in CHECKS.items() for mistake in found]
)
def test_a_mistake_is_found(check: Check, old: str, new: str, finding: str, tmp_path: Path) -> None:
    assert old in WORKFLOW

    assert any(finding in problem for problem in check(WORKFLOW.replace(old, new, 1), tmp_path))


def test_azurite_has_the_version_that_the_program_starts() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "turnlog" / "local").glob("*.py"))

    assert set(re.findall(r"azurite@[\d.]+", code)) == set(re.findall(r"azurite@[\d.]+", WORKFLOW))


def test_every_job_is_documented() -> None:
    jobs = re.findall(r"^  ([\w-]+):\n    runs-on", WORKFLOW, re.MULTILINE)
    document = (ROOT / "docs" / "run" / "deploy.md").read_text(encoding="utf-8")

    assert jobs == ["test", "bicep", "functions-host", "cosmos-emulator"]
    assert [job for job in jobs if f"| `{job}` |" not in document] == []
