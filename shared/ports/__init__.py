"""What the services need from the outside, one module per concern. Stores, models and Durable implement it."""

from shared.ports.feeds import Entry, Feed, Tail
from shared.ports.log import Claims, D, Documents, EventLog, SessionIndex, SessionLog, Storage
from shared.ports.model import ModelClient, ModelRequest, ModelStream
from shared.ports.projects import ProjectStore
from shared.ports.rooms import RoomFeed, RoomWriter
from shared.ports.runtime import Clock, DeletionScheduler, TurnScheduler
from shared.ports.signalr import Connection, SignalR
from shared.ports.webhooks import WebhookRequest, WebhookSender

__all__ = [
    "Claims",
    "Clock",
    "Connection",
    "D",
    "DeletionScheduler",
    "Documents",
    "Entry",
    "EventLog",
    "Feed",
    "ModelClient",
    "ModelRequest",
    "ModelStream",
    "ProjectStore",
    "RoomFeed",
    "RoomWriter",
    "SessionIndex",
    "SessionLog",
    "SignalR",
    "Storage",
    "Tail",
    "TurnScheduler",
    "WebhookRequest",
    "WebhookSender",
]
