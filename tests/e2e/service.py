"""A service that journeys are made on, wherever it runs."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2

from tests.http.driving import Api

URL = "TURNLOG_E2E_URL"
TOKEN = "TURNLOG_E2E_TOKEN"  # a variable's name
SLOW_MODEL = "fake-600-20"
"""Of the scripted model: twelve seconds of writing, which no journey waits for."""

_PATIENCE = 120.0  # a cold start, and a model that thinks


@dataclass
class Service:
    """A running Turnlog. `slow` are the fields of a message whose answer takes seconds: none where a model is real."""

    api: Api
    slow: dict[str, str] = field(default_factory=dict[str, str])


@asynccontextmanager
async def service_at(url: str, token: str = "", slow_model: str = "") -> AsyncGenerator[Service]:
    """The service at `url`, called with a bearer token if there is one."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=_PATIENCE, limits=limits) as http:
        yield service_of(http, slow_model)


def service_of(http: httpx2.AsyncClient, slow_model: str = "") -> Service:
    """The service behind `http`. Journeys ask nothing of the model's server, so there is no client of it."""
    return Service(Api(http, model=http), {"model": slow_model} if slow_model else {})


def deployed() -> tuple[str, str] | None:
    """URL and token of the app that the environment names, if it names one."""
    url = os.environ.get(URL, "")
    return (url.rstrip("/"), os.environ.get(TOKEN, "")) if url else None
