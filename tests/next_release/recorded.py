"""What a next release could have stored: fields, values and an event type that this release does not know.

The JSON files are written by hand, in the form in which the stores keep it.
"""

import json
from pathlib import Path
from typing import Any

from turnlog.domain.stored_documents import (
    Document,
    IdempotencyRecord,
    Lease,
    Message,
    MessageParts,
    ModelResponse,
    Producer,
    StepDocument,
    ToolResult,
)

KINDS: tuple[type[Document], ...] = (
    Message,
    MessageParts,
    StepDocument,
    ToolResult,
    ModelResponse,
    IdempotencyRecord,
    Producer,
    Lease,
)


def recorded(name: str, session_id: str = "ses_next") -> Any:
    """The value in a file, with the ids of a session."""
    text = Path(__file__).with_name(f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text.replace("ses_next", session_id))
