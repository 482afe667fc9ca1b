"""HTTP functions of the console: a page to use sessions in a browser, and links for other clients."""

import hashlib
from functools import cache
from pathlib import Path

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.description.openapi import VERSION
from turnlog.api.edge.parameters import ETAG, IF_NONE_MATCH
from turnlog.api.edge.principal import trace_id_of
from turnlog.api.edge.responses import IMMUTABLE, REVALIDATE, PublicFile, file_response, ok
from turnlog.api.shapes.health import ServiceLinks

bp = df.Blueprint()

_FOLDER = Path(__file__).parent
_FOLDERS = ("page", "view", "client")  # `client` is compiled from clients/typescript
_HTML, _SCRIPT = "text/html", "text/javascript"
_MEDIA_TYPES = {".css": "text/css", ".js": _SCRIPT, ".svg": "image/svg+xml"}
_SECURITY = "; ".join(
    [
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"),
    ]
)
_LINKS = {
    "console": "/console",
    "sessions": "/sessions",
    "agents": "/agents",
    "projects": "/projects",
    "openapi": "/api/openapi.json",
    "docs": "/api/docs",
    "health": "/health",
    "ready": "/ready",
}


# The host takes an empty route for a missing one, and then serves the function at its name.
@bp.route("/", methods=["GET"])
@describes(
    Answer(200, "Links to the parts of the service", ServiceLinks),
    Answer(200, "The console, for a client that accepts `text/html`", media_type=_HTML),
    is_public=True,
)
async def get_root(req: Request) -> Response:
    """Open the console in a browser; other clients read links."""
    if _HTML in req.headers.get("accept", ""):
        return _page_response(req)
    trace_id = trace_id_of(req)
    links: ServiceLinks = {"name": "Turnlog", "version": VERSION, "links": _LINKS, "trace_id": trace_id}
    caching = {"vary": "accept", "cache-control": "no-store"}
    return ok(links, headers={"x-trace-id": trace_id, "x-content-type-options": "nosniff", **caching})


@bp.route("console", methods=["GET"])
@describes(
    Answer(200, "The page", media_type=_HTML, headers=(ETAG,)),
    Answer(304, "You have the current version", headers=(ETAG,)),
    reads=(IF_NONE_MATCH,),
    is_public=True,
)
async def get_console(req: Request) -> Response:
    """Open the console. The page holds no data, and loads nothing from other servers."""
    return _page_response(req)


@bp.route("console/{version}/{folder}/{file}", methods=["GET"])
@describes(
    Answer(200, "The file", media_type="text/css"),
    Answer(200, "The file", media_type=_SCRIPT),
    Answer(404, "There is no such file"),
    is_public=True,
)
async def get_console_file(req: Request) -> Response:
    """Load a file of the console."""
    path = req.path_params
    # While a deployment replaces instances, a page may ask for a file of another version: it gets this one, for now.
    caching = IMMUTABLE if path["version"] == _version() else REVALIDATE
    return file_response(_assets().get(f"{path['folder']}/{path['file']}"), req, caching)


def _page_response(req: Request) -> Response:
    return file_response(_page(), req, REVALIDATE, {"content-security-policy": _SECURITY, "vary": "accept"})


@cache
def _page() -> PublicFile:
    base = f"/console/{_version()}"
    scripts = sorted(name for name, file in _assets().items() if file.media_type == _SCRIPT)
    preloads = "\n    ".join(f'<link rel="modulepreload" href="{base}/{name}">' for name in scripts)
    text = (_FOLDER / "page" / "index.html").read_text(encoding="utf-8")
    return PublicFile.of(text.replace("{{preloads}}", preloads).replace("{{base}}", base).encode(), _HTML)


@cache
def _version() -> str:
    """Changes with every file, so a browser never has to ask again."""
    return hashlib.sha256("".join(file.etag for _, file in sorted(_assets().items())).encode()).hexdigest()[:16]


@cache
def _assets() -> dict[str, PublicFile]:
    paths = [path for folder in _FOLDERS for path in (_FOLDER / folder).iterdir() if path.suffix in _MEDIA_TYPES]
    return {
        f"{path.parent.name}/{path.name}": PublicFile.of(path.read_bytes(), _MEDIA_TYPES[path.suffix]) for path in paths
    }
