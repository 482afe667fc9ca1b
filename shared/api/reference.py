"""HTTP functions of the API's description: the document itself, and a page on which to read and try it."""

import hashlib
import importlib
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
from shared.api.shapes.views import as_json

bp = df.Blueprint()

_UI = "fastapi-offline"
"""The package that Swagger UI's files come from; the package itself is never imported."""

_PAGES = Path(__file__).parent / "description" / "pages"
_BRIEFLY = "no-cache"  # to be asked for again, by its ETag
_FOREVER = "public, max-age=31536000, immutable"  # the page names each file with its version
_SECURITY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


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
    Answer(304, "It is what you have", headers=(ETAG,)),
    reads=(IF_NONE_MATCH,),
    is_open=True,
)
async def get_description(req: Request) -> Response:
    """This description, in OpenAPI 3.1."""
    return _sent(_description(), req, _BRIEFLY)


@bp.route("api/docs", methods=["GET"])
@describes(Answer(200, "The page", media_type="text/html"), is_open=True)
async def get_docs(req: Request) -> Response:
    """A page on which to read this description and try the API; it needs nothing from elsewhere."""
    return _sent(_page(), req, _BRIEFLY)


@bp.route("api/docs/{asset}", methods=["GET"])
@describes(
    Answer(200, "The file", media_type="text/css"),
    Answer(200, "The file", media_type="text/javascript"),
    Answer(404, "There is no such file"),
    is_open=True,
)
async def get_docs_asset(req: Request) -> Response:
    """A file of that page."""
    found = _assets().get(req.path_params["asset"])
    if found is None:
        return Response(None, 404, {"x-trace-id": trace_id_of(req)})
    return _sent(found, req, _FOREVER)


def _sent(file: _File, req: Request, caching: str) -> Response:
    # No @endpoint: nothing here is anyone's, and a page loads its files without an account.
    headers = {"x-trace-id": trace_id_of(req), "etag": file.etag, "cache-control": caching}
    if file.etag in req.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if file.media_type == "text/html":
        headers["content-security-policy"] = _SECURITY
    return Response(file.body, 200, headers, file.media_type)


@cache
def _description() -> _File:
    openapi = importlib.import_module("shared.api.description.openapi")  # it reads this module too
    return _file(as_json(openapi.document()), JSON)


@cache
def _page() -> _File:
    text = (_PAGES / "docs.html").read_text(encoding="utf-8")
    return _file(text.replace("{{version}}", distribution(_UI).version).encode(), "text/html")


@cache
def _assets() -> dict[str, _File]:
    ui = Path(str(distribution(_UI).locate_file(_UI.replace("-", "_")))) / "static"
    return {
        "docs.js": _file((_PAGES / "docs.js").read_bytes(), "text/javascript"),
        "swagger-ui-bundle.js": _file((ui / "swagger-ui-bundle.js").read_bytes(), "text/javascript"),
        "swagger-ui.css": _file((ui / "swagger-ui.css").read_bytes(), "text/css"),
    }
