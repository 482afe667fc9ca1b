"""The files under test, and the same with a mistake put in."""

from pathlib import Path

from tests.infra.bicep import Template, template

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
TEXTS = {path.stem: path.read_text() for path in [INFRA / "main.bicep", *(INFRA / "modules").glob("*.bicep")]}


def files() -> dict[str, Template]:
    return {name: template(text) for name, text in TEXTS.items()}


def changed(name: str, old: str, new: str) -> dict[str, Template]:
    """The files, one of them with a mistake put in."""
    assert old in TEXTS[name], f"{name}.bicep has no {old!r} to put a mistake in"
    return files() | {name: template(TEXTS[name].replace(old, new, 1))}
