"""What the services need from the outside, one module per concern. Stores, models and Durable implement it."""

from turnlog.ports.feeds import Entry, Feed, Tail
from turnlog.ports.log import Claims, D, Documents, EventLog, SessionIndex, SessionLog, Storage
from turnlog.ports.model import ModelClient, ModelRequest, ModelStream
from turnlog.ports.projects import ProjectStore
from turnlog.ports.push import SocketIo, SocketIoConnection, WebSockets
from turnlog.ports.rooms import RoomFeed, RoomWriter
from turnlog.ports.runtime import Clock, DeletionScheduler, InstanceStatus, TurnScheduler
from turnlog.ports.signalr import Connection, SignalR
from turnlog.ports.webhooks import WebhookRequest, WebhookSender

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
    "InstanceStatus",
    "ModelClient",
    "ModelRequest",
    "ModelStream",
    "ProjectStore",
    "RoomFeed",
    "RoomWriter",
    "SessionIndex",
    "SessionLog",
    "SignalR",
    "SocketIo",
    "SocketIoConnection",
    "Storage",
    "Tail",
    "TurnScheduler",
    "WebSockets",
    "WebhookRequest",
    "WebhookSender",
]
