"""The scripted model as a coder: by simple rules it makes a JSON Patch of any prompt and the document it was given."""

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any, cast

PATCHING = "propose_patch"
"""The tool that turns a conversation into coding, where it is offered."""

_NEW = re.compile(
    r"\b(?:add|build|create|introduce|invent|make(?!\s+the\b)|new|set up)\b(?!\s+(?:it|this|that|them|him|her)\b)",
    re.IGNORECASE,
)
_DULL = re.compile(
    r"(?:a|agent|an|and|called|can|could|for|i|in|it|me|named|need|node|of|on|one|please|that|the|to|us|want|we|with|you)"
)
_OWN_NODE = re.compile(r'nothing but the node ("(?:[^"\\]|\\.)*")')
_MOST_WORDS = 4
_MOST_TEXT = 1000


def plan_patch(prompt: str, told: str) -> list[dict[str, Any]]:
    """The operations that `prompt` asks for, `told` being the system message: something new, or a node's instructions.

    In a conversation about one node it is always that one.
    """
    document, rest = _document_in(told)
    nodes = cast("dict[str, Any]", document.get("nodes") or {})
    text = " ".join(prompt.split())[:_MOST_TEXT] or "Be helpful."
    if own := _OWN_NODE.search(rest):
        node_id = str(json.loads(own[1]))
        return _changed(node_id, nodes[node_id], text) if node_id in nodes else _added(node_id, text)
    if _NEW.search(prompt) or not nodes:
        return _added(_free_id(prompt, nodes), text)
    node_id = _meant(prompt, nodes)
    return _changed(node_id, nodes[node_id], text)


def describe(arguments: str) -> str:
    """What a call of propose_patch did, in words."""
    try:
        done = [f"{operation['op']} {operation['path']}" for operation in json.loads(arguments)["patch"]]
    except (ValueError, TypeError, LookupError):
        return "I proposed what is no patch."
    return f"I proposed this patch: {', '.join(done)}."


def _document_in(told: str) -> tuple[dict[str, Any], str]:
    """The first JSON object in `told` that has nodes, and the text behind it."""
    for start in (match.start() for match in re.finditer(r"\{", told)):
        try:
            value, end = json.JSONDecoder().raw_decode(told, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and "nodes" in value:
            return cast("dict[str, Any]", value), told[end:]
    return {}, told


def _added(node_id: str, text: str) -> list[dict[str, Any]]:
    name = " ".join(re.split(r"[_\W]+", node_id)).strip().title() or "Agent"
    return [{"op": "add", "path": f"/nodes/{_escaped(node_id)}", "value": {"name": name, "instructions": text}}]


def _changed(node_id: str, node: dict[str, Any], text: str) -> list[dict[str, Any]]:
    told = f"{node.get('instructions', '')} {text}".strip()[-_MOST_TEXT:]
    op = "replace" if "instructions" in node else "add"
    return [{"op": op, "path": f"/nodes/{_escaped(node_id)}/instructions", "value": told}]


def _meant(prompt: str, nodes: dict[str, Any]) -> str:
    """The node whose id or name stands in the prompt, the longest first; else the last one."""
    said = prompt.lower()
    named = [node_id for node_id in nodes if any(name in said for name in _names(node_id, nodes[node_id]))]
    return max(named, key=len) if named else list(nodes)[-1]


def _names(node_id: str, node: dict[str, Any]) -> Iterator[str]:
    yield from (name.lower() for name in (node_id, node.get("name")) if isinstance(name, str) and name)


def _free_id(prompt: str, nodes: dict[str, Any]) -> str:
    words = [word for word in re.findall(r"[a-z0-9]+", _NEW.sub(" ", prompt).lower()) if not _DULL.fullmatch(word)]
    slug = "_".join(words[:_MOST_WORDS])[:40].strip("_")
    slug = slug if slug[:1].isalpha() else f"agent_{slug}".strip("_")
    names = (slug if number == 1 else f"{slug}_{number}" for number in count(1))
    return next(name for name in names if name not in nodes)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
