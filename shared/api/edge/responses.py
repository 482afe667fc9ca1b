"""Values to responses: JSON bodies with their status codes."""

from collections.abc import Mapping
from typing import Any

from azurefunctions.extensions.http.fastapi import Response

from shared.api.shapes.views import as_json


def ok(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(as_json(body), status, dict(headers or {}), "application/json")


def no_content() -> Response:
    return Response(None, 204)
