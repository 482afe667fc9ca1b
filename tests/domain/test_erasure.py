"""What stays of a deleted session: ids, the hash of its owner, usage and the head, and nothing that anyone wrote."""

import json

from tests.domain.factories import fold_events, new_state
from turnlog.domain.events import ErrorRaised, ForkedFrom, MessageComplete, SessionDeleted, TokenUsage
from turnlog.domain.ids import PublicId, owner_hash
from turnlog.domain.session import SessionState
from turnlog.domain.tolerance import load

WRITTEN = "what somebody wrote"
USED = TokenUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3, model="fake", agent="assistant", iteration=1)


def _full_state() -> SessionState:
    """A session with a text in each field that can have one."""
    fields = ("session_name", "agent_name", "node_id", "project_dir")
    state = new_state(
        **dict.fromkeys(fields, WRITTEN),
        metadata={WRITTEN: WRITTEN},
        owner="somebody",
        project_id="prj_1",
        forked_from=ForkedFrom(session_id=PublicId("ses_source"), sequence=1),
    )
    return fold_events(
        state,
        MessageComplete(step=1, attempt=1, text=WRITTEN),
        USED,
        ErrorRaised(message=WRITTEN, code="model_error", retryable=False),
    )


def test_a_deletion_leaves_nothing_that_was_written() -> None:
    state = _full_state()
    assert state.model_dump_json().count(WRITTEN) == 8

    deleted = fold_events(state, SessionDeleted())

    assert WRITTEN not in deleted.model_dump_json()


def test_a_deletion_leaves_ids_usage_and_the_head() -> None:
    state = _full_state()

    deleted = fold_events(state, SessionDeleted())

    left = {"session_id", "epoch", "thread_id", "project_id", "created_at", "usage", "usage_rows", "forked_from"}
    assert {name: getattr(deleted, name) for name in left} == {name: getattr(state, name) for name in left}
    assert (deleted.head, deleted.deleted, deleted.status) == (state.head + 1, True, "finished")
    own = {"owner", "head", "size_bytes", "updated_at", "deleted", "status"}
    assert deleted.model_dump(exclude_defaults=True).keys() == left - {"epoch"} | own


def test_of_the_owner_a_deletion_leaves_only_a_hash_under_which_the_session_is_still_listed() -> None:
    state = _full_state()

    deleted = fold_events(state, SessionDeleted())

    assert "somebody" not in deleted.model_dump_json()
    assert deleted.owner == owner_hash("somebody")
    assert deleted.owner_hash == state.owner_hash == owner_hash("somebody")


def test_a_deletion_leaves_no_field_of_a_later_release() -> None:
    body = json.loads(_full_state().model_dump_json()) | {"summary": WRITTEN}
    state = load(SessionState, json.dumps(body))
    assert "summary" in state.model_dump_json()

    assert "summary" not in fold_events(state, SessionDeleted()).model_dump_json()
