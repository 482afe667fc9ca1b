"""A fake Azure SignalR Service on 127.0.0.1, with the part of the REST API that the app uses.

Routes, statuses and bodies follow Microsoft's description of version 2024-12-01
(github.com/Azure/azure-signalr/blob/dev/docs/swagger/v20241201.md).
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Member:
    """A user of the service: its groups, and for how many seconds it stays in each."""

    groups: dict[str, int] = field(default_factory=dict[str, int])


@dataclass
class FakeSignalR:
    """Records requests, users and tokens. While `refuses` is set, it answers with that status."""

    url: str = ""
    refuses: int | None = None
    retry_after: str = "0"
    requests: list[str] = field(default_factory=list[str])
    users: dict[str, Member] = field(default_factory=dict[str, Member])
    tokens: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])

    def groups_of(self, token: str) -> set[str]:
        """The groups of a connection with this token that last at least as long as the token is valid."""
        user, minutes = self.tokens[token]
        return {group for group, seconds in self.users[user].groups.items() if seconds > minutes * 60}

    async def add_to_group(self, request: web.Request) -> web.Response:
        self._record(request)
        member = self.users.setdefault(request.match_info["user"], Member())
        member.groups[request.match_info["group"]] = int(request.query["ttl"])
        return web.json_response({})

    async def generate_token(self, request: web.Request) -> web.Response:
        self._record(request)
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = (request.query["userId"], int(request.query["minutesToExpire"]))
        return web.json_response({"token": token})

    def _record(self, request: web.Request) -> None:
        self.requests.append(f"{request.method} {request.raw_path}")
        assert request.query["api-version"] == "2024-12-01"
        assert request.match_info["hub"] == "turnlog"
        if self.refuses is not None:
            raise _Refused(self.refuses, self.retry_after)


class _Refused(web.HTTPException):
    status_code = 500

    def __init__(self, status: int, retry_after: str) -> None:
        headers = {"retry-after": retry_after}
        super().__init__(text='{"code": "Refused"}', content_type="application/json", headers=headers)
        self.set_status(status)


@asynccontextmanager
async def fake_signalr() -> AsyncGenerator[FakeSignalR]:
    signalr = FakeSignalR()
    app = web.Application()
    app.router.add_put("/api/hubs/{hub}/users/{user}/groups/{group}", signalr.add_to_group)
    app.router.add_post("/api/hubs/{hub}/:generateToken", signalr.generate_token)
    async with TestServer(app) as server:
        signalr.url = str(server.make_url("/")).rstrip("/")
        yield signalr
