"""What spans show of a conversation, if prompts are recorded at all."""

import json

from tests.domain.media import content_of, file, picture, picture_of, text
from turnlog.domain.conversation import Conversation, ConversationTurn
from turnlog.telemetry.content import render_request


def test_pictures_and_files_are_named_and_their_data_and_urls_are_not_shown() -> None:
    content = content_of(text(), picture_of(1000), picture("https://example.com/?token=secret"), file(filename="a.pdf"))
    conversation = Conversation("", (ConversationTurn(content, "m", "running"),), reading=(content_of(picture()),))

    rendered = render_request(conversation)

    assert "base64" not in rendered
    assert "secret" not in rendered
    assert [part["content"] for message in json.loads(rendered)[1:] for part in message["parts"]] == [
        "What is this?\n[picture]\n[picture]\n[file a.pdf]",
        "[picture]",
    ]
