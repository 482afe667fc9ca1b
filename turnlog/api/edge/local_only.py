"""What AUTH_MODE=none accepts: requests of this machine, and none that a page of another site causes."""

from azurefunctions.extensions.http.fastapi import Request

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
    allowed = settings().allowed_origins
    for header in ("host", "x-forwarded-host"):
        for authority in req.headers.getlist(header):
            if not allowed.is_here(host_in(authority)):
                raise ForbiddenError("AUTH_MODE=none serves only this machine: add this host to ALLOWED_HOSTS.")
    if req.method in _READS:
        return
    origins = req.headers.getlist("origin")
    if not all(map(allowed.allows, origins)):
        raise ForbiddenError("AUTH_MODE=none takes no writes of other sites: add this origin to CORS_ORIGINS.")
    if not origins and req.headers.get("sec-fetch-site", "none") == "cross-site":
        raise ForbiddenError("AUTH_MODE=none takes no writes of other sites.")
