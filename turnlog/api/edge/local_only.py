"""What AUTH_MODE=none accepts: requests of this machine, and none that a page of another site causes."""

from azurefunctions.extensions.http.fastapi import Request
from starlette.requests import HTTPConnection

from turnlog.domain.errors import ForbiddenError
from turnlog.domain.loopback import host_in
from turnlog.settings import settings

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def require_local(req: Request) -> None:
    """Return if the request names this machine, and if it writes, comes from no other site.

    A page of any site can send requests to this machine, and its host name can be made to point here (DNS rebinding).

    Raises:
        ForbiddenError: otherwise.
    """
    _require_local_host(req)
    if req.method in _READS:
        return
    origins = req.headers.getlist("origin")
    if not all(map(settings().allowed_origins.allows, origins)):
        raise ForbiddenError("AUTH_MODE=none takes no writes of other sites: add this origin to CORS_ORIGINS.")
    if not origins and req.headers.get("sec-fetch-site", "none") == "cross-site":
        raise ForbiddenError("AUTH_MODE=none takes no writes of other sites.")


def require_own_page(connection: HTTPConnection) -> None:
    """Return if no page of another site opens the socket.

    Browsers let any page open a WebSocket to any host, and read what comes: unlike a request, it needs no CORS.

    Raises:
        ForbiddenError: another site, or with AUTH_MODE=none another machine.
    """
    if settings().auth_mode == "none":
        _require_local_host(connection)
    host = connection.headers.get("host", "").lower()
    for origin in connection.headers.getlist("origin"):
        if not settings().allowed_origins.allows(origin) and origin.lower().partition("://")[2] != host:
            raise ForbiddenError("Pages of other sites may not open this socket: add this origin to CORS_ORIGINS.")


def _require_local_host(connection: HTTPConnection) -> None:
    """Raises ForbiddenError: the request names another machine."""
    for header in ("host", "x-forwarded-host"):
        for authority in connection.headers.getlist(header):
            if not settings().allowed_origins.is_here(host_in(authority)):
                raise ForbiddenError("AUTH_MODE=none serves only this machine: add this host to ALLOWED_HOSTS.")
