"""The Bicep files under test, and copies of them with a mistake."""

from pathlib import Path

from tests.infra.bicep_parser import Template, parse

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
TEXTS = {path.stem: path.read_text() for path in [INFRA / "main.bicep", *(INFRA / "modules").glob("*.bicep")]}


def load_files() -> dict[str, Template]:
    return {name: parse(text) for name, text in TEXTS.items()}


def with_mistake(name: str, old: str, new: str) -> dict[str, Template]:
    """All files, with a mistake in the file `name`."""
    assert old in TEXTS[name], f"{name}.bicep does not contain {old!r}"
    return load_files() | {name: parse(TEXTS[name].replace(old, new, 1))}
