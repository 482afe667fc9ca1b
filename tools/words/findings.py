"""What is banned in one file."""

from collections.abc import Iterator
from functools import cache
from pathlib import PurePath
from typing import NamedTuple

from tools.words.python_source import defined_names
from tools.words.python_source import texts as python_texts
from tools.words.rules import Rules, load_rules
from tools.words.texts import Text, comments

_MARKS = {".bicep": "//", ".js": "//", ".sh": "#", ".toml": "#", ".yml": "#", ".yaml": "#", "Makefile": "#", "run": "#"}
_GENERATED = "do not edit."


class Finding(NamedTuple):
    file: str
    line: int
    word: str
    use: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word}: use {self.use}"


@cache
def _rules() -> Rules:
    return load_rules()


def findings(file: str, content: bytes, seen: set[str]) -> Iterator[Finding]:
    """The banned words in the names and texts of `file`. `seen` has the paths whose names were checked before."""
    path = PurePath(file)
    if path.suffix == ".py":
        source = content.decode("utf-8")
        yield from _in_path(path, seen)
        yield from _in_names(file, source)
        yield from _in_texts(file, python_texts(source, with_sentences=path.parts[0] != "tests"))
    elif path.suffix == ".md":
        text = content.decode("utf-8")
        if _GENERATED not in text[:200]:  # what it is generated from is checked
            yield from _in_texts(file, [Text(1, text)])
    elif (mark := _MARKS.get(path.suffix or path.name)) is not None:
        yield from _in_texts(file, comments(content.decode("utf-8"), mark))


def _in_path(path: PurePath, seen: set[str]) -> Iterator[Finding]:
    for part in [path, *path.parents]:
        if str(part) not in seen:
            seen.add(str(part))
            yield from _named(str(part), 1, part.stem, are_modules=True)


def _in_names(file: str, source: str) -> Iterator[Finding]:
    for name, line in sorted(defined_names(source).items(), key=lambda item: item[1]):
        yield from _named(file, line, name, are_modules=False)


def _named(file: str, line: int, name: str, *, are_modules: bool) -> Iterator[Finding]:
    for rule in _rules().names:
        if (are_modules or not rule.only_modules) and (word := rule.find(name)) is not None:
            yield Finding(file, line, f"{word} in the name {name}", rule.use)


def _in_texts(file: str, texts: Iterator[Text] | list[Text]) -> Iterator[Finding]:
    for text in texts:
        cleaned = text.without_code()
        for rule in _rules().texts:
            for offset, phrase in rule.find(cleaned):
                yield Finding(file, text.line + cleaned.count("\n", 0, offset), f"'{phrase}'", rule.use)
