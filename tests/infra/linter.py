"""What the compiler's linter would report, as far as a parser can find it. Each check names its rules."""

import re
from collections.abc import Mapping
from datetime import date

from tests.infra.bicep import Template
from tests.infra.versions import AS_OF, MAX_AGE, VERSIONS, family_of

Files = Mapping[str, Template]
"""Every template by its file's name without the ending."""


def stale_versions(files: Files) -> list[str]:
    """use-recent-api-versions: previews, and versions of more than two years that are not the newest stable one."""
    found: list[str] = []
    for name, file in files.items():
        for symbol, resource in file.resources.items():
            kind, _, version = resource.kind.partition("@")
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", version):
                found.append(f"{name}: {symbol} is of a preview: {version}")
            elif AS_OF - date.fromisoformat(version) > MAX_AGE and not _is_newest(kind, version):
                found.append(f"{name}: {symbol} is of a version of more than two years: {version}")
    return found


def _is_newest(kind: str, version: str) -> bool:
    family = VERSIONS.get(family_of(kind))
    return family is not None and version == family.newest
