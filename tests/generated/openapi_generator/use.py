"""Uses the Python client that OpenAPI Generator generates. The address of the server is the argument."""

import sys

from turnlog_generated import ApiClient, Configuration
from turnlog_generated.api.events_api import EventsApi
from turnlog_generated.api.messages_api import MessagesApi
from turnlog_generated.api.sessions_api import SessionsApi
from turnlog_generated.exceptions import NotFoundException
from turnlog_generated.models.append_events_request import AppendEventsRequest
from turnlog_generated.models.create_session import CreateSession
from turnlog_generated.models.message_complete_event import MessageCompleteEvent
from turnlog_generated.models.outside_event import OutsideEvent
from turnlog_generated.models.post_message import PostMessage
from turnlog_generated.models.post_message_content import PostMessageContent
from turnlog_generated.models.problem import Problem
from turnlog_generated.models.recorded_outside_event import RecordedOutsideEvent
from turnlog_generated.models.run_complete_event import RunCompleteEvent
from turnlog_generated.models.service_event import ServiceEvent

with ApiClient(Configuration(host=sys.argv[1])) as client:
    sessions, messages, events = SessionsApi(client), MessagesApi(client), EventsApi(client)
    session_id = sessions.create_session(create_session=CreateSession(session_name="Generated")).session_id

    message = messages.post_message(session_id, PostMessage(content=PostMessageContent("Hello")))
    assert message.answer

    sent = OutsideEvent(event_type="deployment")
    sent.additional_properties["service"] = "web"
    assert len(events.append_events(session_id, AppendEventsRequest(sent)).sequences) == 1
    assert len(events.append_events(session_id, AppendEventsRequest([sent, sent])).sequences) == 2

    assert session_id in [each.session_id for each in sessions.list_sessions(limit=5).sessions]
    assert [each.answer for each in messages.list_messages(session_id)] == [message.answer]

    texts: list[str] = []
    for event in events.list_events(session_id, after="0").events:
        match event.actual_instance:
            case RecordedOutsideEvent() as outside:
                texts.append(str(outside.data["service"]))
            case ServiceEvent(actual_instance=MessageCompleteEvent() as complete):
                assert complete.timestamp.tzinfo is not None
                texts.append(complete.data.text)
            case ServiceEvent(actual_instance=RunCompleteEvent() as ended):
                assert ended.data.steps == 1
                assert not hasattr(ended.data, "text") or ended.data.text  # pyright: ignore[reportAttributeAccessIssue]
            case _:
                pass
    assert texts == [message.answer, "web", "web", "web"]

    problem = None
    try:
        sessions.get_session("missing")
    except NotFoundException as refusal:
        problem = refusal.data
    assert isinstance(problem, Problem)
    assert problem.code == "session_not_found"
