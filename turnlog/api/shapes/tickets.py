"""Tickets, as callers get them."""

from datetime import datetime

from typing_extensions import TypedDict


class SessionTicket(TypedDict):
    """What opens the stream of this session, as `?ticket=`, until `expires_at`."""

    ticket: str
    expires_at: datetime
    session_id: str
    trace_id: str


class ProjectTicket(TypedDict):
    """What opens the stream of this project, as `?ticket=`, until `expires_at`."""

    ticket: str
    expires_at: datetime
    project_id: str
    trace_id: str
