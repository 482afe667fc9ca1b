"""Every journey that a client may make, for whatever serves the API: they know its base URL and nothing else."""

from collections.abc import Awaitable, Callable

from tests.e2e import of_projects, of_sessions, of_turns
from tests.e2e.service import Service

Journey = Callable[[Service], Awaitable[None]]

JOURNEYS: tuple[Journey, ...] = (
    of_sessions.the_service_is_ready_and_describes_itself,
    of_sessions.a_session_is_made_found_changed_and_deleted,
    of_sessions.what_does_not_fit_is_refused_and_named,
    of_sessions.outside_events_are_told_to_who_follows,
    of_sessions.events_are_taken_and_given_in_their_older_form,
    of_sessions.a_session_is_copied_and_exported,
    of_turns.a_message_is_answered_and_kept,
    of_turns.a_reader_that_leaves_and_comes_back_misses_nothing_and_sees_nothing_twice,
    of_turns.a_post_that_is_repeated_by_its_key_is_the_same_message,
    of_turns.a_tool_is_called_and_its_result_goes_to_the_model,
    of_turns.a_call_waits_for_its_approval,
    of_turns.a_call_waits_for_the_clients_result,
    of_turns.messages_wait_their_turn_and_can_be_taken_back,
    of_turns.a_turn_is_stopped_and_keeps_what_was_written,
    of_projects.a_project_is_made_changed_and_deleted,
    of_projects.a_prompt_changes_the_document_of_its_project,
    of_projects.a_projects_room_tells_of_its_sessions,
    of_projects.everything_a_caller_has_is_told_in_one_room,
    of_projects.a_watcher_is_let_in_where_there_is_fan_out,
)
