"""HTTP functions of the API description: the OpenAPI document, and a page to read and try the API."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import JSON, Answer, describes
from shared.api.edge.parameters import ETAG, IF_NONE_MATCH
from shared.api.edge.principal import trace_id_of
from shared.api.shapes.common import as_json

bp = df.Blueprint()

_UI = "fastapi-offline"
"""The package that contains the files of Swagger UI. It is never imported."""

_PAGES = Path(__file__).parent / "description" / "pages"
_REVALIDATE = "no-cache"  # clients ask again each time, with the ETag
_FOREVER = "public, max-age=31536000, immutable"  # the page adds a version to the name of each file
_SECURITY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


_source: list[Callable[[], dict[str, Any]]] = []


def serve(document: Callable[[], dict[str, Any]]) -> None:
    """Serve this description, built at the first request for it. `resources` passes it in: it imports this module."""
    _source[:] = [document]


@dataclass(frozen=True)
class _File:
    body: bytes
    media_type: str
    etag: str


def _file(body: bytes, media_type: str) -> _File:
    return _File(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


@bp.route("api/openapi.json", methods=["GET"])
@describes(
    Answer(200, "The description", dict[str, Any], headers=(ETAG,)),
    Answer(304, "You have the current version", headers=(ETAG,)),
    reads=(IF_NONE_MATCH,),
    is_public=True,
)
async def get_description(req: Request) -> Response:
    """Read this description in OpenAPI 3.1."""
    return _send(_description(), req, _REVALIDATE)


@bp.route("api/docs", methods=["GET"])
@describes(Answer(200, "The page", media_type="text/html"), is_public=True)
async def get_docs(req: Request) -> Response:
    """Open a page to read this description and try the API. It loads nothing from other servers."""
    return _send(_page(), req, _REVALIDATE)


@bp.route("api/docs/{asset}", methods=["GET"])
@describes(
    Answer(200, "The file", media_type="text/css"),
    Answer(200, "The file", media_type="text/javascript"),
    Answer(404, "There is no such file"),
    is_public=True,
)
async def get_docs_asset(req: Request) -> Response:
    """Load a file of that page."""
    file = _assets().get(req.path_params["asset"])
    if file is None:
        return Response(None, 404, {"x-trace-id": trace_id_of(req)})
    return _send(file, req, _FOREVER)


def _send(file: _File, req: Request, caching: str) -> Response:
    # Without @endpoint: this content is public, and a page loads its files without an account.
    headers = {
        "x-trace-id": trace_id_of(req),
        "x-content-type-options": "nosniff",
        "etag": file.etag,
        "cache-control": caching,
    }
    if file.etag in req.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if file.media_type == "text/html":
        headers["content-security-policy"] = _SECURITY
    return Response(file.body, 200, headers, file.media_type)


@cache
def _description() -> _File:
    (document,) = _source
    return _file(as_json(document()), JSON)


@cache
def _page() -> _File:
    text = (_PAGES / "docs.html").read_text(encoding="utf-8")
    return _file(text.replace("{{version}}", distribution(_UI).version).encode(), "text/html")


def asset_names() -> frozenset[str]:
    """The files of the page, each at its own public path."""
    return frozenset(_assets())


@cache
def _assets() -> dict[str, _File]:
    ui = Path(str(distribution(_UI).locate_file(_UI.replace("-", "_")))) / "static"
    return {
        "docs.js": _file((_PAGES / "docs.js").read_bytes(), "text/javascript"),
        "swagger-ui-bundle.js": _file((ui / "swagger-ui-bundle.js").read_bytes(), "text/javascript"),
        "swagger-ui.css": _file((ui / "swagger-ui.css").read_bytes(), "text/css"),
    }
