"""Uses the client that openapi-python-client generates. The address of the server is the argument."""

import sys

import httpx
from turnlog_client import Client
from turnlog_client.api.events import append_events, list_events
from turnlog_client.api.messages import list_messages, post_message
from turnlog_client.api.sessions import create_session, get_session, list_sessions
from turnlog_client.models import (
    AppendReceipt,
    CreateSession,
    EventPage,
    MessageCompleteEvent,
    MessageView,
    OutsideEvent,
    PostMessage,
    Problem,
    RecordedOutsideEvent,
    RunCompleteEvent,
    SessionPage,
    SessionView,
)

with Client(base_url=sys.argv[1], timeout=httpx.Timeout(60)) as client:
    session = create_session.sync(client=client, body=CreateSession(session_name="Generated"))
    assert isinstance(session, SessionView)
    session_id = session.session_id

    message = post_message.sync(session_id, client=client, body=PostMessage(content="Hello"))
    assert isinstance(message, MessageView)
    assert message.answer

    sent = OutsideEvent(event_type="deployment")
    sent["service"] = "web"
    receipt = append_events.sync(session_id, client=client, body=sent)
    assert isinstance(receipt, AppendReceipt)
    assert len(receipt.sequences) == 1

    sessions = list_sessions.sync(client=client, limit=5)
    assert isinstance(sessions, SessionPage)
    assert session_id in [each.session_id for each in sessions.sessions]

    messages = list_messages.sync(session_id, client=client)
    assert isinstance(messages, list)
    assert [each.answer for each in messages] == [message.answer]

    page = list_events.sync(session_id, client=client, after="0")
    assert isinstance(page, EventPage)
    texts: list[str] = []
    for event in page.events:
        if isinstance(event, MessageCompleteEvent):
            texts.append(event.data.text)
        elif isinstance(event, RecordedOutsideEvent):
            texts.append(str(event.data["service"]))
        elif isinstance(event, RunCompleteEvent):
            assert event.data.steps == 1
            assert not hasattr(event.data, "text") or event.data.text  # pyright: ignore[reportAttributeAccessIssue]
        if not isinstance(event, RecordedOutsideEvent):
            assert event.timestamp.tzinfo is not None
    assert texts == [message.answer, "web"]

    missing = get_session.sync("missing", client=client)
    assert isinstance(missing, Problem)
    assert missing.code == "session_not_found"
