"""The list of banned words, and where a name or a text holds one of them."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIST = Path(__file__).parents[1] / "banned_words.toml"
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True)
class NameRule:
    """Words that are not parts of names."""

    words: tuple[tuple[str, ...], ...]
    use: str
    whole: bool
    only_modules: bool
    skips_tests: bool
    exceptions: frozenset[str]

    def find(self, name: str) -> str | None:
        """The banned word that `name` holds."""
        parts = tuple(part.lower() for part in _PARTS.findall(name))
        if name in self.exceptions or (self.skips_tests and name.startswith("test_")):
            return None
        return next(("_".join(word) for word in self.words if self._holds(parts, word)), None)

    def _holds(self, parts: tuple[str, ...], word: tuple[str, ...]) -> bool:
        if self.whole:
            return parts == word
        return any(parts[at : at + len(word)] == word for at in range(len(parts) - len(word) + 1))


@dataclass(frozen=True)
class TextRule:
    """A phrase that is not part of texts."""

    pattern: re.Pattern[str]
    use: str

    def find(self, text: str) -> Iterator[tuple[int, str]]:
        """The banned phrases in `text`, each with its offset."""
        for match in self.pattern.finditer(text):
            yield match.start(), " ".join(match[0].split())


@dataclass(frozen=True)
class Rules:
    names: tuple[NameRule, ...]
    texts: tuple[TextRule, ...]


def load_rules(path: Path = LIST) -> Rules:
    listed = tomllib.loads(path.read_text("utf-8"))
    return Rules(tuple(map(_name_rule, listed["names"])), tuple(map(_text_rule, listed["texts"])))


def _name_rule(entry: dict[str, Any]) -> NameRule:
    return NameRule(
        words=tuple(tuple(word.split("_")) for word in entry["words"]),
        use=entry["use"],
        whole=entry.get("whole", False),
        only_modules=entry.get("only") == "modules",
        skips_tests=entry.get("skip") == "tests",
        exceptions=frozenset(entry.get("except", ())),
    )


def _text_rule(entry: dict[str, Any]) -> TextRule:
    return TextRule(re.compile(entry["pattern"].replace(" ", r"\s+"), re.IGNORECASE), entry["use"])
