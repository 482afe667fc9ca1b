"""JSON Patch on a project's document: applied completely or refused, and only where it is allowed."""

import copy
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from turnlog.domain.patch import MAX_OPERATIONS, MAX_PATCH_BYTES, InvalidPatchError, Operation, patched

JSON = dict[str, Any]
_OPERATIONS = TypeAdapter(list[Operation])


def node(instructions: str = "Help.", **more: Any) -> JSON:
    return {"name": "A node", "instructions": instructions, **more}


def document(**nodes: JSON) -> JSON:
    return {"nodes": nodes or {"a": node(tools=["x", "y"]), "b": node("Wait.")}}


def patch(before: JSON, *operations: JSON, node_id: str | None = None) -> JSON:
    return patched(before, _OPERATIONS.validate_json(json.dumps(operations)), node_id)


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        ({"op": "add", "path": "/nodes/c", "value": node()}, {"a": node(), "b": node("Wait."), "c": node()}),
        ({"op": "remove", "path": "/nodes/b"}, {"a": node()}),
        ({"op": "replace", "path": "/nodes/b", "value": node("Go.")}, {"a": node(), "b": node("Go.")}),
        ({"op": "move", "from": "/nodes/b", "path": "/nodes/c"}, {"a": node(), "c": node("Wait.")}),
        ({"op": "copy", "from": "/nodes/b", "path": "/nodes/a"}, {"a": node("Wait."), "b": node("Wait.")}),
        ({"op": "test", "path": "/nodes/b/instructions", "value": "Wait."}, {"a": node(), "b": node("Wait.")}),
    ],
)
def test_each_kind_of_operation_follows_the_rfc(operation: JSON, after: JSON) -> None:
    before = document(a=node(), b=node("Wait."))
    original = copy.deepcopy(before)

    changed = patch(before, operation)

    assert {name: each["instructions"] for name, each in changed["nodes"].items()} == {
        name: each["instructions"] for name, each in after.items()
    }
    assert before == original


@pytest.mark.parametrize("name", ["a", "01", "-", "a.b-c_d", "nodes"])
def test_a_node_sessions_own_node_may_be_changed(name: str) -> None:
    before = {"nodes": {name: node(), "other": node()}}

    changed = patch(before, {"op": "replace", "path": f"/nodes/{name}/instructions", "value": "New."}, node_id=name)

    assert changed["nodes"][name]["instructions"] == "New."


@pytest.mark.parametrize(("name", "pointer"), [("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01")])
def test_an_escaped_pointer_names_the_same_node(name: str, pointer: str) -> None:
    # The path is allowed. The name is refused, because no project's document may have it.
    with pytest.raises(InvalidPatchError, match="would not be valid"):
        patch(document(), {"op": "add", "path": f"/nodes/{pointer}", "value": node()}, node_id=name)


@pytest.mark.parametrize(
    "path", ["/nodes/b", "/nodes", "/nodes/ab", "/nodes/a~1", "/nodes/", "", "/", "/name", "/nodes~1a", "/nodes//a"]
)
@pytest.mark.parametrize("op", ["add", "remove", "test", "from", "to"])
def test_a_node_session_may_change_only_its_node(path: str, op: str) -> None:
    own: JSON = {"op": op, "path": path, "value": node()}
    moves = {
        "from": {"op": "copy", "from": path, "path": "/nodes/a/name"},
        "to": {"op": "move", "from": "/nodes/a/name", "path": path},
    }

    with pytest.raises(InvalidPatchError, match="is not allowed, only /nodes/a"):
        patch(document(), moves.get(op, own), node_id="a")


@pytest.mark.parametrize("path", ["", "/", "/name", "/nodesx/a", "//nodes/a"])
def test_only_nodes_may_be_changed(path: str) -> None:
    with pytest.raises(InvalidPatchError, match="is not allowed"):
        patch(document(), {"op": "add", "path": path, "value": {}})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nodes/none"},
        {"op": "replace", "path": "/nodes/none", "value": 1},
        {"op": "replace", "path": "/nodes/a/tools/2", "value": "z"},
        {"op": "replace", "path": "/nodes/a/tools/-1", "value": "z"},
        {"op": "replace", "path": "/nodes/a/tools/-", "value": "z"},
        {"op": "replace", "path": "/nodes/a/tools/01", "value": "z"},
        {"op": "replace", "path": "/nodes/a/tools/1e0", "value": "z"},
        {"op": "replace", "path": f"/nodes/a/tools/{'9' * 5000}", "value": "z"},
        {"op": "add", "path": "/nodes/a/tools/3", "value": "z"},
        {"op": "add", "path": "/nodes/a/tools/٣", "value": "z"},
        {"op": "add", "path": "/nodes/a/tools/-/z", "value": "z"},
        {"op": "add", "path": "/nodes/a/name/0", "value": "z"},
        {"op": "add", "path": "/nodes/none/name", "value": "z"},
        {"op": "remove", "path": "/nodes/a/tools/-"},
        {"op": "move", "from": "/nodes/a", "path": "/nodes/a/name"},
        {"op": "move", "from": "/nodes/none", "path": "/nodes/c"},
        {"op": "copy", "from": "/nodes/a/tools/-", "path": "/nodes/a/name"},
        {"op": "test", "path": "/nodes/a/tools/0", "value": "y"},
        {"op": "test", "path": "/nodes/none", "value": None},
        {"op": "test", "path": "/nodes/a/tools/-", "value": None},
        {"op": "add", "path": "nodes/a", "value": 1},
        {"op": "add", "path": "/nodes/a~", "value": 1},
        {"op": "add", "path": "/nodes/a~2b", "value": 1},
        {"op": "add", "path": "/nodes/c", "value": "no node"},
        {"op": "replace", "path": "/nodes", "value": []},
        {"op": "replace", "path": "/nodes/a/instructions", "value": 5},
    ],
)
def test_an_operation_that_cannot_be_applied_is_refused_with_its_reason(operation: JSON) -> None:
    before = document()
    original = copy.deepcopy(before)

    with pytest.raises(InvalidPatchError, match=r"Operation 1 |Operation 1:|would not be valid"):
        patch(before, {"op": "add", "path": "/nodes/a/instructions", "value": "Changed."}, operation)
    assert before == original


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/nodes/a"},
        {"op": "test", "path": "/nodes/a"},
        {"op": "move", "path": "/nodes/a"},
        {"op": "copy", "path": "/nodes/a", "from": None},
        {"op": "merge", "path": "/nodes/a", "value": 1},
        {"op": "add", "value": 1},
        {"op": "remove", "path": 7},
        {"op": "remove", "path": None},
        {"path": "/nodes/a", "value": 1},
        "remove",
        None,
    ],
)
def test_an_invalid_operation_is_refused(operation: Any) -> None:
    with pytest.raises(ValidationError):
        patch(document(), operation)


def test_unused_members_of_an_operation_are_ignored() -> None:
    changed = patch(document(), {"op": "remove", "path": "/nodes/a", "from": "/secret", "value": 1, "why": "no more"})

    assert list(changed["nodes"]) == ["b"]


def test_a_value_may_be_null() -> None:
    with pytest.raises(InvalidPatchError, match="would not be valid"):
        patch(document(), {"op": "replace", "path": "/nodes/a", "value": None})


def test_a_patch_has_a_maximum_of_operations_and_of_bytes() -> None:
    one = {"op": "test", "path": "/nodes/b/instructions", "value": "Wait."}

    patch(document(), *[one] * MAX_OPERATIONS)
    for wrong in ([], [one] * (MAX_OPERATIONS + 1)):
        with pytest.raises(InvalidPatchError, match="1 to 100 operations"):
            patch(document(), *wrong)
    with pytest.raises(InvalidPatchError, match="bytes"):
        patch(document(), {"op": "add", "path": "/nodes/a/instructions", "value": "é" * (MAX_PATCH_BYTES // 2)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"x": [float("-inf")]}])
def test_a_value_that_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(InvalidPatchError, match="can't be written as JSON"):
        patched(document(), [Operation(op="add", path="/nodes/a/instructions", value=value)], None)


def test_copies_of_copies_do_not_grow_without_limit() -> None:
    doubling = [{"op": "copy", "from": "/nodes", "path": f"/nodes/{number}"} for number in range(MAX_OPERATIONS)]

    with pytest.raises(InvalidPatchError, match=r"too large|too deeply"):
        patch(document(), *doubling)


_NAMES = st.sampled_from(["a", "b", "c", "", "-", "0", "1", "nodes", "tools", "name", "~0", "~1", "a~1b", "*", "é"])
_PATHS = st.lists(_NAMES, max_size=4).map(lambda names: "".join(f"/{name}" for name in ["nodes", *names]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(node()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_ANY_OPERATION = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": _PATHS | st.text(max_size=6)},
    optional={"from": _PATHS, "value": _VALUES},
)


@given(st.lists(_ANY_OPERATION, min_size=1, max_size=5))
def test_any_patch_follows_the_rfc_or_is_refused_and_keeps_its_input(operations: list[JSON]) -> None:
    before = document()
    original = copy.deepcopy(before)

    try:
        changed = patch(before, *operations)
    except (InvalidPatchError, ValidationError):
        pass
    else:
        raw = jsonpatch.apply_patch(original, operations)
        assert raw.get("nodes", {}).keys() == changed.get("nodes", {}).keys()
    assert before == document()


@given(st.lists(_ANY_OPERATION, min_size=1, max_size=5))
def test_no_patch_of_a_node_session_changes_another_node(operations: list[JSON]) -> None:
    before = document()

    try:
        changed = patch(before, *operations, node_id="a")
    except (InvalidPatchError, ValidationError):
        return
    others = {name: each for name, each in changed["nodes"].items() if name != "a"}
    assert others == patch(before, {"op": "remove", "path": "/nodes/a"})["nodes"]
