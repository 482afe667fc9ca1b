"""The scripted model as a coder: simple rules make a JSON Patch from any message and the project's document."""

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any, cast

PATCH_TOOL = "propose_patch"
"""The tool that makes the model a coder, if it is offered."""

_NEW = re.compile(
    r"\b(?:add|build|create|introduce|invent|make(?!\s+the\b)|new|set up)\b(?!\s+(?:it|this|that|them|him|her)\b)",
    re.IGNORECASE,
)
_STOP_WORD = re.compile(
    r"(?:a|agent|an|and|called|can|could|for|i|in|it|me|named|need|node|of|on|one|please|that|the|to|us|want|we|with|you)"
)
_OWN_NODE = re.compile(r'only the node ("(?:[^"\\]|\\.)*")')
_MAX_WORDS = 4
_MAX_TEXT = 1000


def plan_patch(content: str, system: str) -> list[dict[str, Any]]:
    """Return the operations that a user's `content` asks for: a new node, or a node's instructions.

    The document is in the system message, `system`. In a conversation about one node it is always that node.
    """
    document, rest = _find_document(system)
    nodes = cast("dict[str, Any]", document.get("nodes") or {})
    text = " ".join(content.split())[:_MAX_TEXT] or "Be helpful."
    if own := _OWN_NODE.search(rest):
        node_id = str(json.loads(own[1]))
        return _change(node_id, nodes[node_id], text) if node_id in nodes else _addition(node_id, text)
    if _NEW.search(content) or not nodes:
        return _addition(_free_id(content, nodes), text)
    node_id = _named_node(content, nodes)
    return _change(node_id, nodes[node_id], text)


def describe(arguments: str) -> str:
    """Return in words what a call of propose_patch did."""
    try:
        done = [f"{operation['op']} {operation['path']}" for operation in json.loads(arguments)["patch"]]
    except (ValueError, TypeError, LookupError):
        return "I proposed something that is not a patch."
    return f"I proposed this patch: {', '.join(done)}."


def _find_document(system: str) -> tuple[dict[str, Any], str]:
    """Return the first JSON object in `system` that has nodes, and the text behind it."""
    for start in (match.start() for match in re.finditer(r"\{", system)):
        try:
            value, end = json.JSONDecoder().raw_decode(system, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and "nodes" in value:
            return cast("dict[str, Any]", value), system[end:]
    return {}, system


def _addition(node_id: str, text: str) -> list[dict[str, Any]]:
    name = " ".join(re.split(r"[_\W]+", node_id)).strip().title() or "Agent"
    return [{"op": "add", "path": f"/nodes/{_escape(node_id)}", "value": {"name": name, "instructions": text}}]


def _change(node_id: str, node: dict[str, Any], text: str) -> list[dict[str, Any]]:
    instructions = f"{node.get('instructions', '')} {text}".strip()[-_MAX_TEXT:]
    op = "replace" if "instructions" in node else "add"
    return [{"op": op, "path": f"/nodes/{_escape(node_id)}/instructions", "value": instructions}]


def _named_node(content: str, nodes: dict[str, Any]) -> str:
    """Return the node whose id or name is in the content, the longest id first; else the last node."""
    lower = content.lower()
    named = [node_id for node_id in nodes if any(name in lower for name in _names(node_id, nodes[node_id]))]
    return max(named, key=len) if named else list(nodes)[-1]


def _names(node_id: str, node: dict[str, Any]) -> Iterator[str]:
    yield from (name.lower() for name in (node_id, node.get("name")) if isinstance(name, str) and name)


def _free_id(content: str, nodes: dict[str, Any]) -> str:
    words = re.findall(r"[a-z0-9]+", _NEW.sub(" ", content).lower())
    slug = "_".join([word for word in words if not _STOP_WORD.fullmatch(word)][:_MAX_WORDS])[:40].strip("_")
    slug = slug if slug[:1].isalpha() else f"agent_{slug}".strip("_")
    names = (slug if number == 1 else f"{slug}_{number}" for number in count(1))
    return next(name for name in names if name not in nodes)


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
