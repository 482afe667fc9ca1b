"""`make release VERSION=0.2.0`: writes the version everywhere, dates the changelog, commits and tags.

It pushes nothing. `git push --follow-tags` publishes the commit and the tag.
"""

import argparse
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_CHANGELOG = "CHANGELOG.md"
_UNRELEASED = "## Unreleased\n"
# Where a version is written: the part of a line before it.
_PLACES = {
    "turnlog/__init__.py": r'^__version__ = "',
    "clients/typescript/package.json": r'^  "version": "',
    "clients/typescript/package-lock.json": r'"name": "turnlog-client",\n +"version": "',
    "clients/python/pyproject.toml": r'^version = "',
}


class ReleaseError(Exception):
    """The release can't be made; nothing has been written."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make release VERSION=…", description=__doc__)
    parser.add_argument("version", help="for example 0.2.0")
    parser.add_argument("--folder", type=Path, default=_ROOT, help="the repository (this one)")
    parsed = parser.parse_args()
    try:
        release(parsed.folder, parsed.version)
    except ReleaseError as error:
        sys.exit(f"no release: {error}")
    print(f"committed and tagged v{parsed.version}; `git push --follow-tags` publishes it")


def release(folder: Path, version: str) -> None:
    """Commit and tag `version` in the repository at `folder`.

    Raises:
        ReleaseError: the version is not a new one, something is not committed, or the changelog has nothing new.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ReleaseError(f"{version!r} is not a version like 0.2.0")
    if _git(folder, "status", "--porcelain"):
        raise ReleaseError("there are changes that are not committed")
    if _git(folder, "tag", "--list", f"v{version}"):
        raise ReleaseError(f"there is a tag v{version} already")
    new = {name: _with_version(folder / name, pattern, version) for name, pattern in _PLACES.items()}
    new[_CHANGELOG] = _dated((folder / _CHANGELOG).read_text(encoding="utf-8"), version)
    for name, text in new.items():
        (folder / name).write_text(text, encoding="utf-8")
    _git(folder, "add", *new)
    _git(folder, "commit", "--quiet", "--message", f"Release {version}")
    _git(folder, "tag", "--annotate", f"v{version}", "--message", f"Turnlog {version}")


def _with_version(path: Path, pattern: str, version: str) -> str:
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(rf'({pattern})\d+\.\d+\.\d+"', rf'\g<1>{version}"', text, flags=re.MULTILINE)
    if not count:
        raise ReleaseError(f"{path.name} has no version")
    return changed


def _dated(changelog: str, version: str) -> str:
    """The changelog with what is unreleased under `version`, and an empty part for what comes."""
    before, heading, rest = changelog.partition(_UNRELEASED)
    news = rest.split("\n## ", maxsplit=1)[0]
    if not heading or not news.strip():
        raise ReleaseError(f"{_CHANGELOG} has nothing under {_UNRELEASED.strip()!r}")
    return f"{before}{heading}\n## {version} - {datetime.now(UTC):%Y-%m-%d}\n{rest}"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, own arguments
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
