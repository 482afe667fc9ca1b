"""What AUTH_MODE=none accepts: requests of this machine, and none that a page of another site causes."""

from urllib.parse import urlsplit

from azurefunctions.extensions.http.fastapi import Request
from starlette.requests import HTTPConnection

from turnlog.domain.errors import ForbiddenError
from turnlog.domain.loopback import host_in, is_loopback
from turnlog.settings import settings

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def require_local(req: Request) -> None:
    """Return if the request names this machine, and if it writes, comes from no other site.

    A page of any site can send requests to this machine, and its host name can be made to point here (DNS rebinding).

    Raises:
        ForbiddenError: otherwise.
    """
    require_local_host(req)
    if req.method in _READS:
        return
    origins = req.headers.getlist("origin")
    if not all(map(_is_allowed, origins)):
        raise ForbiddenError("AUTH_MODE=none takes no writes of other sites: add this origin to CORS_ORIGINS.")
    if not origins and req.headers.get("sec-fetch-site", "none") == "cross-site":
        raise ForbiddenError("AUTH_MODE=none takes no writes of other sites.")


def require_local_host(connection: HTTPConnection) -> None:
    """Raises ForbiddenError: the request names another machine."""
    for header in ("host", "x-forwarded-host"):
        for authority in connection.headers.getlist(header):
            if not _is_here(host_in(authority)):
                raise ForbiddenError("AUTH_MODE=none serves only this machine: add this host to ALLOWED_HOSTS.")


def require_own_page(connection: HTTPConnection) -> None:
    """Return if no page of another site opens the socket.

    Browsers let any page open a WebSocket to any host, and read what comes: unlike a request, it needs no CORS.

    Raises:
        ForbiddenError: another site, or with AUTH_MODE=none another machine.
    """
    if settings().auth_mode == "none":
        require_local_host(connection)
    host = connection.headers.get("host", "").lower()
    for origin in connection.headers.getlist("origin"):
        if not _is_allowed(origin) and _authority(origin) != host:
            raise ForbiddenError("Pages of other sites may not open this socket: add this origin to CORS_ORIGINS.")


def _authority(origin: str) -> str:
    return origin.lower().partition("://")[2]


def _is_here(host: str) -> bool:
    return is_loopback(host) or host in {name.lower() for name in settings().allowed_hosts}


def _is_allowed(origin: str) -> bool:
    allowed = settings().cors_origins
    if "*" in allowed or origin in {each.rstrip("/") for each in allowed}:
        return True
    try:
        url = urlsplit(origin)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and _is_here(url.hostname or "")
