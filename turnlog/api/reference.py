"""HTTP functions of the API description: the OpenAPI document, and a page to read and try the API."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import JSON, Answer, describes
from turnlog.api.edge.parameters import ETAG, IF_NONE_MATCH
from turnlog.api.edge.responses import IMMUTABLE, REVALIDATE, PublicFile, file_response
from turnlog.api.shapes.common import as_json

bp = df.Blueprint()

_UI = "fastapi-offline"
"""The package that contains the files of Swagger UI. It is never imported."""

_PAGES = Path(__file__).parent / "description" / "pages"
_SECURITY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


_source: list[Callable[[], dict[str, Any]]] = []


def serve(document: Callable[[], dict[str, Any]]) -> None:
    """Serve this description, built at the first request for it. `resources` passes it in: it imports this module."""
    _source[:] = [document]


@bp.route("api/openapi.json", methods=["GET"])
@describes(
    Answer(200, "The description", dict[str, Any], headers=(ETAG,)),
    Answer(304, "You have the current version", headers=(ETAG,)),
    reads=(IF_NONE_MATCH,),
    is_public=True,
)
async def get_description(req: Request) -> Response:
    """Read this description in OpenAPI 3.1."""
    return file_response(_description(), req, REVALIDATE)


@bp.route("api/docs", methods=["GET"])
@describes(Answer(200, "The page", media_type="text/html"), is_public=True)
async def get_docs(req: Request) -> Response:
    """Open a page to read this description and try the API. It loads nothing from other servers."""
    return file_response(_page(), req, REVALIDATE, {"content-security-policy": _SECURITY})


@bp.route("api/docs/{asset}", methods=["GET"])
@describes(
    Answer(200, "The file", media_type="text/css"),
    Answer(200, "The file", media_type="text/javascript"),
    Answer(404, "There is no such file"),
    is_public=True,
)
async def get_docs_asset(req: Request) -> Response:
    """Load a file of that page."""
    # The page adds a version to the name of each file.
    return file_response(_assets().get(req.path_params["asset"]), req, IMMUTABLE)


@cache
def _description() -> PublicFile:
    (document,) = _source
    return PublicFile.of(as_json(document()), JSON)


@cache
def _page() -> PublicFile:
    text = (_PAGES / "docs.html").read_text(encoding="utf-8")
    return PublicFile.of(text.replace("{{version}}", distribution(_UI).version).encode(), "text/html")


def asset_names() -> frozenset[str]:
    """The files of the page, each at its own public path."""
    return frozenset(_assets())


@cache
def _assets() -> dict[str, PublicFile]:
    ui = Path(str(distribution(_UI).locate_file(_UI.replace("-", "_")))) / "static"
    return {
        "docs.js": PublicFile.of((_PAGES / "docs.js").read_bytes(), "text/javascript"),
        "swagger-ui-bundle.js": PublicFile.of((ui / "swagger-ui-bundle.js").read_bytes(), "text/javascript"),
        "swagger-ui.css": PublicFile.of((ui / "swagger-ui.css").read_bytes(), "text/css"),
    }
