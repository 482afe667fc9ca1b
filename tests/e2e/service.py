"""The service that the journeys call, wherever it runs."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2

from tests.http.api_client import Api

URL = "TURNLOG_E2E_URL"
TOKEN = "TURNLOG_E2E_TOKEN"  # a variable's name
SLOW_MODEL = "fake-600-20"
"""A scripted model that writes for twelve seconds. No journey waits for its end."""

_TIMEOUT_SECONDS = 120.0  # a cold start, and a model that thinks


@dataclass
class Service:
    """A running Turnlog. `slow` holds the message fields that make an answer take seconds; empty with a real model."""

    api: Api
    slow: dict[str, str] = field(default_factory=dict[str, str])


@asynccontextmanager
async def service_at(url: str, token: str = "", slow_model: str = "") -> AsyncGenerator[Service]:
    """Connect to the service at `url`, with a bearer token if one is given."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT_SECONDS, limits=limits) as http:
        yield service_from(http, slow_model)


def service_from(http: httpx2.AsyncClient, slow_model: str = "") -> Service:
    """Return the service behind `http`. Journeys never call the model's server, so it has no client here."""
    return Service(Api(http, model=http), {"model": slow_model} if slow_model else {})


def deployed_app() -> tuple[str, str] | None:
    """Return URL and token of the app that the environment names, or None."""
    url = os.environ.get(URL, "")
    return (url.rstrip("/"), os.environ.get(TOKEN, "")) if url else None
