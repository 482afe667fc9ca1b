"""What stays of a deleted session: ids, usage and the head, and nothing that anyone wrote."""

from shared.domain.events import ErrorRaised, MessageComplete, SessionDeleted
from tests.domain.factories import fold_events, new_state

WRITTEN = "what somebody wrote"


def test_a_deletion_leaves_nothing_that_was_written() -> None:
    state = new_state(session_name=WRITTEN, project_dir=WRITTEN, metadata={WRITTEN: WRITTEN})
    state = fold_events(
        state,
        MessageComplete(step=1, attempt=1, text=WRITTEN),
        ErrorRaised(message=WRITTEN, code="model_error", retryable=False),
    )
    assert WRITTEN in state.model_dump_json()

    deleted = fold_events(state, SessionDeleted())

    assert WRITTEN not in deleted.model_dump_json()
    assert (deleted.session_id, deleted.usage, deleted.head) == (state.session_id, state.usage, state.head + 1)
