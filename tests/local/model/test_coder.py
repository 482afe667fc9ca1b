"""The scripted model as a coder: any message and any document make a patch that the document takes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.domain.patch import Operation, patched
from turnlog.local.model.coder import plan_patch

JSON = dict[str, Any]
_IDS = st.text("abcXYZ019._-", min_size=1, max_size=8)
_NODES = st.fixed_dictionaries({}, optional={"name": st.text(max_size=20), "instructions": st.text(max_size=40)})
_DOCUMENTS = st.dictionaries(_IDS, _NODES, max_size=4).map(lambda nodes: {"nodes": nodes})


def coded(content: str, document: JSON, node_id: str | None = None) -> JSON:
    """Return the document with the coder's patch for a message."""
    system = f"You work on {{a project}}.\n\nThe document, revision 1:\n{json.dumps(document, ensure_ascii=False)}"
    if node_id is not None:
        system += f"\nThis conversation is about one node. Change only the node {json.dumps(node_id)}."
    return patched(document, [Operation.model_validate(each) for each in plan_patch(content, system)], node_id)


@given(st.text(max_size=200), _DOCUMENTS)
def test_any_message_makes_a_patch_that_any_document_takes(content: str, document: JSON) -> None:
    before, after = document["nodes"], coded(content, document)["nodes"]

    assert [name for name in after if before.get(name) != after[name]] or before == after
    assert before.keys() <= after.keys()


@given(st.text(max_size=200), _DOCUMENTS, _IDS)
def test_in_a_nodes_conversation_any_message_changes_only_that_node(content: str, document: JSON, node_id: str) -> None:
    before, after = document["nodes"], coded(content, document, node_id)["nodes"]

    assert after.keys() == {*before, node_id}
    assert all(after[name] == before[name] for name in before if name != node_id)
    assert after[node_id]["instructions"].endswith(" ".join(content.split()))


@pytest.mark.parametrize("content", ["Create a weather helper", "please ADD a weather helper!", "a new weather helper"])
def test_a_message_that_asks_for_something_new_adds_a_node_named_by_its_words(content: str) -> None:
    document: JSON = {"nodes": {"weather_helper": {}}}

    assert list(coded(content, {"nodes": {}})["nodes"]) == ["weather_helper"]
    assert list(coded(content, document)["nodes"]) == ["weather_helper", "weather_helper_2"]


def test_the_changed_node_is_the_one_that_the_message_names_else_the_last() -> None:
    document: JSON = {"nodes": {"front": {"name": "Front desk"}, "cook": {}, "last": {}}}

    for content, meant in [
        ("the cook is rude", "cook"),
        ("Front Desk: smile", "front"),
        ("be quick", "last"),
        ("Make the cook nicer", "cook"),
    ]:
        assert coded(content, document)["nodes"][meant] == {**document["nodes"][meant], "instructions": content}
