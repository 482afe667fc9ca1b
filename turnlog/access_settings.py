"""The settings of access: how callers are identified, and how much each may use."""

from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from turnlog.domain.limits import OwnerLimits
from turnlog.domain.loopback import is_loopback
from turnlog.domain.origins import AllowedOrigins, allowed_origins
from turnlog.model_settings import split_list

_WHERE = "where callers sign in, else no limit; each process counts for itself"
_MIN_KEY_LENGTH = 32
_PORTS = {"http": 80, "https": 443}
SIGNED_IN_LIMITS = OwnerLimits(requests_per_second=100, streams=100, turns=50)
"""The limits of an owner where callers sign in, unless a setting says otherwise."""


class AccessSettings(BaseSettings):
    """The variables that say who may call, and how much."""

    auth_mode: Literal["none", "easyauth", "jwt"] = Field(
        "none",
        description="how callers are identified: `none` (one machine only), `easyauth` or `jwt` (bearer tokens)",
    )
    jwt_issuer: str | None = Field(None, description="for `jwt`: the exact `iss` of the tokens")
    jwt_audience: str | None = Field(None, description="for `jwt`: a value that the tokens' `aud` must contain")
    jwt_jwks_url: str | None = Field(
        None, description="for `jwt`: URL of the issuer's keys, its `jwks_uri`; https, except on one machine"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="comma-separated origins as https://app.example.com, or *, whose pages may call; with"
        " `AUTH_MODE=none` pages of this machine may do so in any case; in Azure the platform sets CORS itself",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="for `none`: comma-separated host names by which this machine is called, besides loopback names"
    )

    ticket_key: SecretStr | None = Field(
        None,
        description="at least 32 random characters, the same for all instances: encrypts the tickets of streams; on one"
        " machine the process chooses one",
    )

    max_requests_per_second: int | None = Field(
        None, ge=1, description=f"requests that one owner may send in a second; 100 {_WHERE}"
    )
    max_streams: int | None = Field(None, ge=1, description=f"streams that one owner may have open; 100 {_WHERE}")
    max_turns: int | None = Field(None, ge=1, description=f"turns of one owner that may run at once; 50 {_WHERE}")

    _access_from_list = field_validator("cors_origins", "allowed_hosts", mode="before")(split_list)

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # A browser sends an origin in exactly this form: another one would never match, without a word.
        for entry in value:
            if entry != "*" and not _is_origin(entry):
                raise ValueError(
                    f"has {entry!r}: write a scheme and a host, as in https://app.example.com, and no path"
                )
        if "*" in value and len(value) > 1:
            raise ValueError("has * beside other origins: * alone allows all")
        return value

    @field_validator("ticket_key")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _MIN_KEY_LENGTH:
            raise ValueError(f"takes at least {_MIN_KEY_LENGTH} random characters")
        return value

    @field_validator("jwt_jwks_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        # An attacker who can answer this request with their own keys can sign in as any caller.
        if value is not None and not _is_safe_url(value):
            raise ValueError("takes an https URL without a user name")
        return value

    @model_validator(mode="after")
    def _can_read_tokens(self) -> Self:
        for name in ("jwt_issuer", "jwt_audience", "jwt_jwks_url"):
            if self.auth_mode == "jwt" and getattr(self, name) is None:
                raise ValueError(f"{name.upper()} is not set: AUTH_MODE=jwt needs it")
        return self

    @property
    def allowed_origins(self) -> AllowedOrigins:
        return allowed_origins(self.auth_mode, self.cors_origins, self.allowed_hosts)

    @property
    def owner_limits(self) -> OwnerLimits:
        """What one owner may use. On one machine there is one owner, who is not limited unless a setting says so."""
        usual = OwnerLimits() if self.auth_mode == "none" else SIGNED_IN_LIMITS
        return OwnerLimits(
            self.max_requests_per_second or usual.requests_per_second,
            self.max_streams or usual.streams,
            self.max_turns or usual.turns,
        )


def _is_origin(text: str) -> bool:
    """Whether `text` is an origin as browsers send it, with a port only if it is not the scheme's own.

    A `/` at its end is tolerated.
    """
    try:
        url = urlsplit(text)
        port = "" if url.port is None else f":{url.port}"
    except ValueError:
        return False
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    is_host = host != "" and "*" not in host and not any(character.isspace() for character in text)
    has_own_port = url.port == _PORTS.get(url.scheme)
    return (
        url.scheme in _PORTS
        and is_host
        and not has_own_port
        and text.removesuffix("/") == f"{url.scheme}://{host}{port}"
    )


def _is_safe_url(text: str) -> bool:
    try:
        url: SplitResult = urlsplit(text)
        has_port = url.port is None or url.port > 0
    except ValueError:
        return False
    if not url.hostname or "@" in url.netloc or "\\" in text or not has_port:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname))
