"""Lists every banned word of the repository as `file:line: word: use ...`, and fails if there is one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.words.findings import Finding, findings

_ROOT = Path(__file__).parents[2]


def main() -> None:
    found = list(_all_findings())
    for each in found:
        print(each)
    if found:
        sys.exit(f"{len(found)} banned words; tools/banned_words.toml has the list.")


def _all_findings() -> Iterator[Finding]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=_ROOT, capture_output=True, check=True, text=True).stdout  # noqa: S603  # a constant
    seen = set[str]()
    for name in sorted(set(listed.split("\0")) - {""}):
        if (_ROOT / name).is_file():
            yield from findings(name, (_ROOT / name).read_bytes(), seen)


if __name__ == "__main__":
    main()
