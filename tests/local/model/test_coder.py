"""The scripted model as a coder: any prompt and any document make a patch that the document takes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.model.coder import plan_patch
from shared.domain.patch import Operation, patched

JSON = dict[str, Any]
_IDS = st.text("abcXYZ019._-", min_size=1, max_size=8)
_NODES = st.fixed_dictionaries({}, optional={"name": st.text(max_size=20), "instructions": st.text(max_size=40)})
_DOCUMENTS = st.dictionaries(_IDS, _NODES, max_size=4).map(lambda nodes: {"nodes": nodes})


def coded(prompt: str, document: JSON, node_id: str | None = None) -> JSON:
    """The document after what the coder makes of `prompt`."""
    told = f"You work on {{a project}}.\n\nThe document, revision 1:\n{json.dumps(document, ensure_ascii=False)}"
    if node_id is not None:
        told += f"\nThis conversation is about one node. Change nothing but the node {json.dumps(node_id)}."
    return patched(document, [Operation.model_validate(each) for each in plan_patch(prompt, told)], node_id)


@given(st.text(max_size=200), _DOCUMENTS)
def test_any_prompt_makes_a_patch_that_any_document_takes(prompt: str, document: JSON) -> None:
    before, after = document["nodes"], coded(prompt, document)["nodes"]

    assert [name for name in after if before.get(name) != after[name]] or before == after
    assert before.keys() <= after.keys()


@given(st.text(max_size=200), _DOCUMENTS, _IDS)
def test_in_a_nodes_conversation_any_prompt_changes_that_node_alone(prompt: str, document: JSON, node_id: str) -> None:
    before, after = document["nodes"], coded(prompt, document, node_id)["nodes"]

    assert after.keys() == {*before, node_id}
    assert all(after[name] == before[name] for name in before if name != node_id)
    assert after[node_id]["instructions"].endswith(" ".join(prompt.split()))


@pytest.mark.parametrize("prompt", ["Create a weather helper", "please ADD a weather helper!", "a new weather helper"])
def test_who_asks_for_something_new_gets_a_node_named_by_the_prompts_words(prompt: str) -> None:
    document: JSON = {"nodes": {"weather_helper": {}}}

    assert list(coded(prompt, {"nodes": {}})["nodes"]) == ["weather_helper"]
    assert list(coded(prompt, document)["nodes"]) == ["weather_helper", "weather_helper_2"]


def test_a_change_is_made_to_the_node_the_prompt_names_else_to_the_last() -> None:
    document: JSON = {"nodes": {"front": {"name": "Front desk"}, "cook": {}, "last": {}}}

    for prompt, meant in [
        ("the cook is rude", "cook"),
        ("Front Desk: smile", "front"),
        ("be quick", "last"),
        ("Make the cook nicer", "cook"),
    ]:
        assert coded(prompt, document)["nodes"][meant] == {**document["nodes"][meant], "instructions": prompt}
