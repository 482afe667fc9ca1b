"""A fake Azure Web PubSub on 127.0.0.1: its data plane, and the events that it sends to the app.

Routes, bodies and headers follow Microsoft's description of API version 2024-12-01 and of Socket.IO's serverless mode
(learn.microsoft.com/azure/azure-web-pubsub, "Socket.IO Serverless Mode Specification"). Like the service, it sends only
to sockets that the app has admitted, and asks before it sends the first event.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from aiohttp import web
from aiohttp.test_utils import TestServer

KEYS = ("primary", "secondary")
EVENTS = "/socketio/events"

JSON = dict[str, Any]


def group_of(room: str, namespace: str = "/") -> str:
    parts = [base64.urlsafe_b64encode(text.encode()).decode().rstrip("=") for text in (namespace, room)]
    return f"0~{'~'.join(parts)}"


@dataclass
class Client:
    """A socket, or a plain WebSocket, with its groups and what it was sent."""

    id: str
    user: str
    groups: set[str]
    received: list[str] = field(default_factory=list[str])

    @property
    def events(self) -> list[tuple[str, JSON]]:
        """The events that a client of Socket.IO would get from the messages."""
        packets = [re.fullmatch(r"42(\[.*\])", text, re.DOTALL) for text in self.received]
        assert all(packets), self.received
        pairs = [json.loads(packet[1]) for packet in packets if packet]
        assert all(len(pair) == 2 for pair in pairs)
        return [(name, data) for name, data in pairs]


@dataclass
class FakeWebPubSub:
    """Records requests, tokens and clients. While `refuses` is set, it answers with that status."""

    url: str = ""
    refuses: int | None = None
    sends_user: bool = True
    requests: list[str] = field(default_factory=list[str])
    tokens: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    clients: list[Client] = field(default_factory=list[Client])

    # The side of clients and of the app's events.

    def open_websocket(self, url: str) -> Client:
        """Connect a plain WebSocket with what was negotiated."""
        base, _, token = url.partition("?access_token=")
        assert base == f"{self.url.replace('http', 'ws', 1)}/client/hubs/turnlog"
        granted = self.tokens[token]
        assert not granted.get("role")
        client = Client(secrets.token_hex(8), granted["userId"], set(granted["group"].split(",")))
        self.clients.append(client)
        return client

    async def open_socket(self, app: httpx2.AsyncClient, token: str, namespace: str = "/") -> Client | httpx2.Response:
        """Connect a client of Socket.IO; return its socket, or the answer of the app that refuses it."""
        granted = self.tokens[token]
        assert granted["clientType"] == "SocketIO"
        asked = await app.options(EVENTS, headers={"webhook-request-origin": self.host})
        assert (asked.status_code, asked.headers["webhook-allowed-origin"]) == (200, self.host)
        client = Client(secrets.token_hex(8), granted["userId"], set())
        claims: JSON = {"claims": {"sub": [client.user]}, "query": {}, "headers": {}, "clientCertificates": []}
        body, kind = json.dumps(claims), "azure.webpubsub.sys.connect"
        answer = await app.post(EVENTS, content=body, headers=self.headers(client, kind, "connect", namespace))
        if not answer.is_success:
            return answer
        client.groups.add(group_of(client.id))
        self.clients.append(client)
        return client

    async def emit(self, app: httpx2.AsyncClient, client: Client, name: str, wanted: Any) -> JSON:
        """Let a socket emit an event; return its acknowledgement."""
        headers = self.headers(client, "azure.webpubsub.user.message", name)
        answer = await app.post(EVENTS, content=f"4213{json.dumps([name, wanted])}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain")
        packet = re.fullmatch(r"4313\[(.*)\]", answer.text)
        assert packet, answer.text
        return json.loads(packet[1])

    def headers(self, client: Client, kind: str, name: str, namespace: str = "/", key: str = KEYS[0]) -> dict[str, str]:
        signed = [hmac.new(each.encode(), client.id.encode(), hashlib.sha256).hexdigest() for each in (key, "rotated")]
        return {
            "content-type": "text/plain",
            "webhook-request-origin": self.host,
            "ce-specversion": "1.0",
            "ce-type": kind,
            "ce-source": f"/hubs/turnlog/client/{client.id}",
            "ce-signature": ",".join(f"sha256={each}" for each in signed),
            "ce-connectionId": client.id,
            "ce-hub": "turnlog",
            "ce-eventName": name,
            "ce-namespace": namespace,
            "ce-socketId": client.id,
            **({"ce-userId": client.user} if self.sends_user else {}),
        }

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    # The data plane.

    async def generate_token(self, request: web.Request) -> web.Response:
        self._record(request)
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = {**request.query, "group": ",".join(request.query.getall("group", []))}
        return web.json_response({"token": token})

    async def change_groups(self, request: web.Request) -> web.Response:
        self._record(request)
        body = await request.json()
        members = re.fullmatch(r"'([A-Za-z0-9_~-]+)' in groups", body["filter"])
        assert members, body
        for client in self.clients:
            if members[1] in client.groups:
                adds = request.path.endswith(":addToGroups")
                client.groups = client.groups | set(body["groups"]) if adds else client.groups - set(body["groups"])
        return web.json_response({})

    async def send(self, request: web.Request) -> web.Response:
        self._record(request)
        assert request.content_type == "text/plain"
        text = await request.text()
        assert len(text.encode()) <= 1_000_000
        for client in self.clients:
            if request.match_info["group"] in client.groups:
                client.received.append(text)
        return web.Response(status=202)

    async def list_connections(self, request: web.Request) -> web.Response:
        self._record(request)
        found = [client for client in self.clients if request.match_info["group"] in client.groups]
        return web.json_response({"value": [{"connectionId": each.id, "userId": each.user} for each in found]})

    def _record(self, request: web.Request) -> None:
        self.requests.append(f"{request.method} {request.raw_path}")
        assert request.query["api-version"] == "2024-12-01"
        assert request.match_info["hub"] == "turnlog"
        if self.refuses is not None:
            refused = web.HTTPException(text="{}", content_type="application/json", headers={"retry-after": "0"})
            refused.set_status(self.refuses)
            raise refused


@asynccontextmanager
async def fake_webpubsub() -> AsyncGenerator[FakeWebPubSub]:
    service = FakeWebPubSub()
    app = web.Application(client_max_size=2**21)
    hub = "/api/hubs/{hub}"
    app.router.add_post(f"{hub}/:generateToken", service.generate_token)
    app.router.add_post(f"{hub}/:addToGroups", service.change_groups)
    app.router.add_post(f"{hub}/:removeFromGroups", service.change_groups)
    app.router.add_post(hub + "/groups/{group}/:send", service.send)
    app.router.add_get(hub + "/groups/{group}/connections", service.list_connections)
    async with TestServer(app) as server:
        service.url = str(server.make_url("/")).rstrip("/")
        yield service
