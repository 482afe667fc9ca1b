"""The names that a Python file defines, and the texts in it."""

import ast
import io
import tokenize
from collections.abc import Iterator

from tools.words.texts import Text, joined_lines

_MIN_WORDS = 5  # a string with fewer is a key, a path or a value, not a sentence


def defined_names(source: str) -> dict[str, int]:
    """Every name that `source` defines, with the line that defines it first. Names that it only uses are not listed."""
    names: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        for name in _names(node):
            line = getattr(node, "lineno", 1)
            names[name] = min(line, names.get(name, line))
    return names


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
            return [name]
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            return [name]
        case _:
            return []


def texts(source: str, *, with_sentences: bool) -> Iterator[Text]:
    """Comments and docstrings, and, `with_sentences`, the strings that read like one."""
    yield from joined_lines(_comments(source))
    tree = ast.parse(source)
    docstrings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    docstrings = [node for node in docstrings if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    yield from (Text(node.lineno, str(node.value)) for node in docstrings)
    if with_sentences:
        yield from _sentences(tree, {id(node) for node in docstrings})


def _comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#! ")


def _sentences(tree: ast.AST, docstrings: set[int]) -> Iterator[Text]:
    parts: set[int] = set()
    for node in ast.walk(tree):  # an f-string comes before its parts
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in node.values}
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            text = node.value
        else:
            continue
        if len(text.split()) >= _MIN_WORDS:
            yield Text(node.lineno, text)
