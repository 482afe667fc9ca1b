"""`make release`: versions, changelog, commit and tag, or nothing at all."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import turnlog
from tools.release import ReleaseError, release

ROOT = Path(__file__).parents[2]
FILES = (
    "CHANGELOG.md",
    "turnlog/__init__.py",
    "clients/typescript/package.json",
    "clients/typescript/package-lock.json",
    "clients/python/pyproject.toml",
)


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "config", "user.name", "somebody")
    _git(tmp_path, "config", "user.email", "somebody@example.com")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def test_all_packages_have_one_version() -> None:
    for name in FILES[1:]:
        assert f'version__ = "{turnlog.__version__}"' in (text := (ROOT / name).read_text()) or re.search(
            rf'version"?(:| =) "{re.escape(turnlog.__version__)}"', text
        ), name


def test_a_release_has_its_version_in_each_file_and_a_tag(repository: Path) -> None:
    release(repository, "9.8.7")

    assert _git(repository, "status", "--porcelain") == ""
    assert _git(repository, "log", "--format=%s", "-1") == "Release 9.8.7\n"
    assert _git(repository, "cat-file", "-t", "v9.8.7") == "tag\n"
    assert _git(repository, "diff", "--name-only", "HEAD~").split() == sorted(FILES)
    changed = _git(repository, "diff", "-U0", "HEAD~")
    assert len(re.findall(r"^\+.*version.*9\.8\.7", changed, re.MULTILINE)) == 5  # the lock file has it twice


def test_what_was_unreleased_is_under_the_new_version(repository: Path) -> None:
    before = (repository / "CHANGELOG.md").read_text()

    release(repository, "9.8.7")

    after = (repository / "CHANGELOG.md").read_text()
    assert re.sub(r"\n## 9\.8\.7 - \d{4}-\d\d-\d\d\n", "", after) == before
    with pytest.raises(ReleaseError, match="nothing under"):
        release(repository, "9.8.8")


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0rc1", ""])
def test_a_wrong_version_is_refused(repository: Path, version: str) -> None:
    with pytest.raises(ReleaseError, match="is not a version"):
        release(repository, version)


def test_a_release_with_open_changes_or_a_used_tag_is_refused_and_writes_nothing(repository: Path) -> None:
    _git(repository, "tag", "v2.0.0")
    with pytest.raises(ReleaseError, match=r"a tag v2\.0\.0 already"):
        release(repository, "2.0.0")
    assert _git(repository, "status", "--porcelain") == ""

    (repository / "new.txt").write_text("new")
    with pytest.raises(ReleaseError, match="not committed"):
        release(repository, "2.0.1")
    assert _git(repository, "status", "--porcelain") == "?? new.txt\n"
