"""The requirements files: each package has the hashes of its files, and none names where it is loaded from."""

import re

import pytest

from tests.infra.bicep_files import ROOT

FILES = sorted(path.name for path in ROOT.glob("requirements*.txt"))
PIN = re.compile(r"[A-Za-z0-9_.\[\],-]+==\S+( ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
COMMENT = re.compile(r"    #.*")


@pytest.mark.parametrize("name", FILES)
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not COMMENT.fullmatch(line)]
    pins = [number for number, line in enumerate(lines) if PIN.fullmatch(line)]

    assert len(pins) > 20
    assert [line for line in lines if not PIN.fullmatch(line) and not HASH.fullmatch(line)] == []
    assert [lines[number] for number in pins if not HASH.fullmatch(lines[number + 1])] == []


def test_the_deployed_packages_are_those_of_development() -> None:
    deployed, development = (
        {line for line in (ROOT / name).read_text().splitlines() if PIN.fullmatch(line) or HASH.fullmatch(line)}
        for name in ("requirements.txt", "requirements-dev.txt")
    )

    assert deployed <= development
