"""Origins of web pages, and which of them may call. The local host and the app ask here."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from turnlog.domain.loopback import is_loopback


@dataclass(frozen=True)
class AllowedOrigins:
    """The origins whose pages may read answers and write: those `named`, exactly as a browser sends them, or all (`*`).

    Where nobody signs in (`with_local`), also each origin of this machine, with any port: loopback names, and `hosts`.
    A name counts as it is written: one that only points to this machine is not a name of it.
    """

    named: frozenset[str] = frozenset()
    with_local: bool = False
    hosts: frozenset[str] = frozenset()

    @property
    def has_all(self) -> bool:
        return "*" in self.named

    def allows(self, origin: str) -> bool:
        return self.has_all or origin in self.named or (self.with_local and self._is_local(origin))

    def is_here(self, host: str) -> bool:
        """Whether `host`, without a port, is a name of this machine."""
        return is_loopback(host) or host.lower() in self.hosts

    def _is_local(self, origin: str) -> bool:
        try:
            url = urlsplit(origin)
            host = url.hostname or ""
        except ValueError:
            return False
        return url.scheme in {"http", "https"} and self.is_here(host)


def allowed_origins(auth_mode: str, cors_origins: Iterable[str], allowed_hosts: Iterable[str]) -> AllowedOrigins:
    """The origins that the settings of these names allow."""
    return AllowedOrigins(
        named=frozenset(origin.rstrip("/") for origin in cors_origins),
        with_local=auth_mode == "none",
        hosts=frozenset(name.lower() for name in allowed_hosts),
    )
