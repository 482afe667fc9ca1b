"""The environment, typed and read once: what can be set, in which unit, and what holds when it isn't."""

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.deadlines import FUNCTION, LONGEST, LONGEST_WAIT, NETWORK_IDLE


@dataclass(frozen=True)
class Timings:
    """How soon silence is noticed. The cloud's numbers allow for its queues; one machine needs no such patience.

    Attributes:
        flush_ms: pauses between writes of an answer: the first piece goes at once, the last number repeats.
        look_after: how long the orchestrator waits for an activity before it looks whether it lives.
        lease_after: how long a working activity may append nothing before it says that it lives.
        dead_after: the silence after which an attempt is taken for dead.
        start_grace: how old a claimed turn is before the sweep starts an instance for it.
        handover_after: the silence after which the sweep gives a turn to another instance; doubles each time.
        clear_after: how long a deleted session keeps its log, so that writers of before collide with it.
        sweep_schedule: NCRONTAB, with seconds.
    """

    flush_ms: tuple[int, ...]
    look_after: timedelta
    lease_after: timedelta
    dead_after: timedelta
    start_grace: timedelta
    handover_after: timedelta
    clear_after: timedelta
    sweep_schedule: str


CLOUD = Timings(
    flush_ms=(100, 200, 400, 500),
    look_after=timedelta(seconds=20),
    lease_after=timedelta(seconds=10),
    dead_after=timedelta(seconds=25),
    start_grace=timedelta(seconds=30),
    handover_after=timedelta(seconds=60),
    clear_after=timedelta(minutes=35),  # above deadlines.FUNCTION: no writer of before is left
    sweep_schedule="*/30 * * * * *",
)
ONE_MACHINE = Timings(
    flush_ms=(15,),
    look_after=timedelta(seconds=2),
    lease_after=timedelta(seconds=1),
    dead_after=timedelta(seconds=5),
    start_grace=timedelta(seconds=1),
    handover_after=timedelta(seconds=10),
    clear_after=timedelta(0),
    sweep_schedule="*/2 * * * * *",
)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Settings(BaseSettings):
    """Every variable the app reads, by its name in lower case. Empty counts as not set."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    cosmos_endpoint: str | None = Field(None, description="Cosmos DB account; without it sessions live in SQLite")
    cosmos_database: str = Field("turnlog", description="database that holds the containers")
    signalr_endpoint: str | None = Field(
        None, description="Azure SignalR Service for thousands of watchers; needs Cosmos DB (docs/use/signalr.md)"
    )
    signalr_hub: str = Field("turnlog", pattern=r"^[A-Za-z][A-Za-z0-9_]{0,127}$", description="its hub")
    data_dir: Path = Field(Path(".data"), description="folder of the SQLite files")
    openai_base_url: str | None = Field(
        None, description="any OpenAI-compatible endpoint; `make run` starts a scripted model when it is not set"
    )
    openai_api_key: SecretStr | None = Field(
        None, description="its key; without one an Azure endpoint is called with the managed identity"
    )
    model: str = Field("fake-60-30", description="model of messages that name none; to be set with OPENAI_BASE_URL")
    allowed_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma list of what a message may ask for; empty allows any"
    )
    auth_mode: Literal["none", "easyauth", "jwt"] = Field(
        "none", description="who callers are: `none` (one machine only), `easyauth`, or `jwt` (bearer tokens)"
    )
    jwt_issuer: str | None = Field(None, description="for `jwt`: the tokens' `iss`, to the letter")
    jwt_audience: str | None = Field(None, description="for `jwt`: what the tokens' `aud` must hold")
    jwt_jwks_url: str | None = Field(
        None, description="for `jwt`: where the issuer publishes its keys, its `jwks_uri`; https, but on one machine"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma list of origins, or *; honoured by the local host, in Azure set on the platform"
    )
    delta_flush_ms: Annotated[tuple[int, ...] | None, NoDecode] = Field(
        None,
        description="pauses between writes of an answer, the last repeats; 100,200,400,500 on Cosmos, 15 on SQLite",
    )
    delta_flush_bytes: int = Field(4096, ge=1, description="an answer is written before that if it has grown by this")
    stream_max_seconds: int = Field(600, ge=1, description="how long a stream lasts, 1500 at most; clients then resume")
    message_wait_seconds: int = Field(60, ge=0, description="how long POST messages waits for its answer")
    max_steps: int = Field(10, ge=1, le=50, description="model calls a turn may make")
    turn_timeout_seconds: int = Field(900, ge=5, description="how long a turn may take, 1500 at most")
    approval_timeout: timedelta = Field(
        timedelta(days=7),
        ge=timedelta(seconds=1),
        le=timedelta(days=365),
        description="how long a turn waits for an approval or a client's tool: seconds, or such as 30m, 12h, 7d",
    )
    queue_limit: int = Field(20, ge=0, description="messages that may wait in a session")
    taskhub_name: str = Field(
        "turnlog",
        pattern=r"^[A-Za-z][A-Za-z0-9]{2,44}$",
        description="Durable task hub of this app; host.json reads it",
    )
    telemetry: Literal["console", "off"] | None = Field(
        None, description="`console` prints spans, metrics and logs, `off` tells nothing whatever else is set"
    )
    telemetry_content: bool = Field(
        default=False, description="`true`: telemetry holds prompts, answers and tool arguments too"
    )
    applicationinsights_connection_string: SecretStr | None = Field(
        None, description="Application Insights that telemetry goes to"
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="OTLP collector (HTTP) that telemetry goes to; needs requirements of the extra `otlp`"
    )

    @field_validator("allowed_models", "cors_origins", "delta_flush_ms", mode="before")
    @classmethod
    def _from_comma_list(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("approval_timeout", mode="before")
    @classmethod
    def _from_unit(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        given = re.fullmatch(r"(\d{1,9})([smhd]?)", value.strip(), re.ASCII)
        if given is None:
            raise ValueError(f"takes seconds, or a number with s, m, h or d such as 7d, not {value!r}")
        return timedelta(seconds=int(given[1]) * _SECONDS[given[2] or "s"])

    @field_validator("turn_timeout_seconds", "stream_max_seconds")
    @classmethod
    def _ends_before_the_function(cls, value: int) -> int:
        most, function = int(LONGEST.total_seconds()), int(FUNCTION.total_seconds())
        if value > most:
            raise ValueError(
                f"must be {most} at most, not {value}: at functionTimeout in host.json ({function}) the host restarts"
                " the worker, and everything that runs in it is lost"
            )
        return value

    @field_validator("message_wait_seconds")
    @classmethod
    def _ends_before_the_network(cls, value: int) -> int:
        most, network = int(LONGEST_WAIT.total_seconds()), int(NETWORK_IDLE.total_seconds())
        if value > most:
            raise ValueError(f"must be {most} at most, not {value}: a request silent for {network} seconds is dropped")
        return value

    @field_validator("delta_flush_ms")
    @classmethod
    def _are_pauses(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or min(value) < 0):
            raise ValueError("takes milliseconds separated by commas, such as 100,200,400,500")
        return value

    @field_validator("cosmos_endpoint", "openai_base_url", "signalr_endpoint", "otel_exporter_otlp_endpoint")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError(f"takes a URL such as https://example.com/, not {value!r}")
        return value

    @field_validator("applicationinsights_connection_string")
    @classmethod
    def _is_connection_string(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and "InstrumentationKey=" not in value.get_secret_value():
            raise ValueError("takes InstrumentationKey=…;IngestionEndpoint=… as Application Insights shows it")
        return value

    @field_validator("jwt_jwks_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        # Whoever can put keys of its own in the way of this request can be anybody.
        if value is not None and not re.match(r"https://|http://(127\.0\.0\.1|localhost)[:/]", value):
            raise ValueError(f"takes an https URL, not {value!r}")
        return value

    @model_validator(mode="after")
    def _can_read_tokens(self) -> Self:
        for name in ("jwt_issuer", "jwt_audience", "jwt_jwks_url"):
            if self.auth_mode == "jwt" and getattr(self, name) is None:
                raise ValueError(f"{name.upper()} is not set: AUTH_MODE=jwt needs it")
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.on_azure:
            if self.cosmos_endpoint is None:
                raise ValueError(
                    "COSMOS_ENDPOINT is not set: in Azure sessions live in Cosmos DB, SQLite is for one machine"
                )
            if self.openai_base_url is None:
                raise ValueError("OPENAI_BASE_URL is not set: name an OpenAI-compatible endpoint")
            if self.auth_mode == "none":
                raise ValueError("AUTH_MODE=none is for one machine: set easyauth and enable authentication, or jwt")
        if self.signalr_endpoint is not None and self.cosmos_endpoint is None:
            raise ValueError("SIGNALR_ENDPOINT is set without COSMOS_ENDPOINT: its change feed is what tells SignalR")
        if self.openai_base_url is not None and self.openai_api_key is None and not self.calls_azure:
            raise ValueError("OPENAI_API_KEY is not set: only an Azure endpoint can be called without one")
        if self.otel_exporter_otlp_endpoint is not None and self.telemetry != "off" and not _has_otlp():
            raise ValueError("OTEL_EXPORTER_OTLP_ENDPOINT needs packages: install the extra `otlp` of pyproject.toml")
        if self.has_model and "model" not in self.model_fields_set:
            server = "OpenAI" if self.openai_base_url is None else "OPENAI_BASE_URL"
            raise ValueError(f"MODEL is not set: name a model that {server} serves")
        return self

    @property
    def has_model(self) -> bool:
        """Whether there is a model to call; a key without an endpoint is one of OpenAI."""
        return self.openai_base_url is not None or self.openai_api_key is not None

    @property
    def calls_azure(self) -> bool:
        """Whether the model's endpoint takes Entra ID tokens."""
        return ".azure.com" in (self.openai_base_url or "")

    @property
    def on_azure(self) -> bool:
        """Whether this is an instance of a function app, and no single machine."""
        return "WEBSITE_INSTANCE_ID" in os.environ

    @property
    def has_telemetry(self) -> bool:
        """Whether telemetry is to go anywhere."""
        ways = (self.telemetry, self.applicationinsights_connection_string, self.otel_exporter_otlp_endpoint)
        return self.telemetry != "off" and any(ways)

    @property
    def timings(self) -> Timings:
        return ONE_MACHINE if self.cosmos_endpoint is None else CLOUD

    @property
    def flush_ms(self) -> tuple[int, ...]:
        return self.delta_flush_ms or self.timings.flush_ms


def _has_otlp() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # of a package on the way there
        return False


def runs_durable_alone() -> bool:
    """Whether this instance runs durable functions and nothing else: on Flex Consumption the platform says so."""
    return os.environ.get("FUNCTIONS_TARGET_GROUP", "").lower() == "durable"


def _problem(location: tuple[int | str, ...], text: str) -> str:
    name = str(location[0]).upper() if location else ""
    return f"{name} {text.removeprefix('Value error, ')}".strip()


class SettingsError(Exception):
    """A setting is wrong or missing; the text names the variable and says what to do."""


@cache
def settings() -> Settings:
    """The process's settings, read at the first call.

    Raises:
        SettingsError: a variable can't be used.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue]  # fields come from the environment
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"]) for item in error.errors()]
        raise SettingsError("Settings can't be used: " + "; ".join(problems)) from error
