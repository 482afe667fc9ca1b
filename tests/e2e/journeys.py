"""The list of all journeys: each is a client that knows the base URL of a service, and nothing else."""

from collections.abc import Awaitable, Callable

from tests.e2e import project_journeys, session_journeys, turn_journeys
from tests.e2e.service import Service

Journey = Callable[[Service], Awaitable[None]]

JOURNEYS: tuple[Journey, ...] = (
    session_journeys.check_readiness_and_reference,
    session_journeys.open_the_console,
    session_journeys.create_change_and_delete_a_session,
    session_journeys.send_invalid_requests,
    session_journeys.append_events_while_another_client_follows,
    session_journeys.append_and_list_flat_events,
    session_journeys.fork_and_export_a_session,
    turn_journeys.post_a_message_and_read_its_answer_everywhere,
    turn_journeys.leave_a_stream_and_resume_it,
    turn_journeys.repeat_a_post_with_its_idempotency_key,
    turn_journeys.run_an_agent_over_ag_ui,
    turn_journeys.have_a_tool_called,
    turn_journeys.approve_a_tool_call,
    turn_journeys.give_the_result_of_a_client_tool,
    turn_journeys.queue_messages_and_withdraw_one,
    turn_journeys.cancel_a_turn,
    project_journeys.create_change_and_delete_a_project,
    project_journeys.delete_a_project_with_many_sessions,
    project_journeys.change_a_project_by_a_message,
    project_journeys.follow_the_room_of_a_project,
    project_journeys.follow_the_room_of_a_caller,
    project_journeys.open_streams_with_tickets,
    project_journeys.have_the_end_of_a_turn_delivered,
    project_journeys.negotiate_a_signalr_connection,
    project_journeys.negotiate_web_pubsub_connections,
)
