"""Turnlog's client: sessions, messages, and streams that resume without loss or repetition."""

from turnlog_client.aio.client import AsyncClient
from turnlog_client.aio.session import AsyncSession
from turnlog_client.client import Client
from turnlog_client.conversation import Action, Conversation, Queued, UsageSample
from turnlog_client.errors import (
    BusyError,
    ConflictError,
    FieldProblem,
    ForbiddenError,
    GoneError,
    InvalidError,
    NetworkError,
    NotFoundError,
    ProblemError,
    ServiceError,
    TurnlogError,
    UnauthenticatedError,
)
from turnlog_client.events import Event, RoomFrame
from turnlog_client.options import Producer
from turnlog_client.protocol.backoff import Backoff
from turnlog_client.protocol.readers import Connection, StreamOptions
from turnlog_client.protocol.requests import new_idempotency_key
from turnlog_client.session import Session
from turnlog_client.turn import Part, Step, ToolCall, Turn, UserPart
from turnlog_client.values import EventPage, Message, SessionInfo

__all__ = [
    "Action",
    "AsyncClient",
    "AsyncSession",
    "Backoff",
    "BusyError",
    "Client",
    "ConflictError",
    "Connection",
    "Conversation",
    "Event",
    "EventPage",
    "FieldProblem",
    "ForbiddenError",
    "GoneError",
    "InvalidError",
    "Message",
    "NetworkError",
    "NotFoundError",
    "Part",
    "ProblemError",
    "Producer",
    "Queued",
    "RoomFrame",
    "ServiceError",
    "Session",
    "SessionInfo",
    "Step",
    "StreamOptions",
    "ToolCall",
    "Turn",
    "TurnlogError",
    "UnauthenticatedError",
    "UsageSample",
    "UserPart",
    "new_idempotency_key",
]
