"""Reading what is stored: an item that cannot be read must not hide the others."""

import logging

from pydantic import ValidationError

from shared.domain.session import SessionState

_log = logging.getLogger(__name__)


def state_or_none(session_id: str, body: str) -> SessionState | None:
    """The stored state; None, with an entry in the log, if this version of the program cannot read it."""
    try:
        return SessionState.model_validate_json(body)
    except ValidationError as error:
        _log.error("The state of session %s cannot be read, and is left out: %s", session_id, error)
        return None
