"""The environment, typed and read once: each variable with its unit, its default and its meaning."""

import os
import re
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode

from turnlog.access_settings import AccessSettings
from turnlog.model_settings import ModelSettings, is_url, split_list
from turnlog.push_settings import PushSettings
from turnlog.timings import CLOUD, FUNCTION_TIMEOUT, MAX_WAIT, MAX_WORK_TIME, NETWORK_IDLE_TIMEOUT, ONE_MACHINE, Timings

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Settings(AccessSettings, PushSettings, ModelSettings):
    """Every variable the app reads, by its name in lower case. Empty counts as not set."""

    cosmos_endpoint: str | None = Field(None, description="Cosmos DB account; without it sessions are stored in SQLite")
    cosmos_database: str = Field("turnlog", description="database that holds the containers")
    cosmos_incarnation: str = Field(
        "1",
        pattern=r"^[A-Za-z0-9]{1,16}$",
        description="part of every cursor; change it after a restore of the database, so that old cursors are refused",
    )
    data_dir: Path = Field(Path(".data"), description="folder of the SQLite files")
    agents_dir: Path | None = Field(
        None, description="folder of the agents' modules (docs/use/agents.md); empty: `agents`, if it is there"
    )
    sqlite_synchronous: Literal["full", "normal"] = Field(
        "full",
        description="`full`: what is acknowledged survives a loss of power; `normal`: only a crash of the process",
    )
    delta_flush_ms: Annotated[tuple[int, ...] | None, NoDecode] = Field(
        None,
        description="pauses between writes of an answer, the last repeats; 100,200,400,500 on Cosmos DB, 15 on SQLite",
    )
    delta_flush_bytes: int = Field(
        4096, ge=1, description="an answer that grows by this is written before its pause ends"
    )
    detail_deltas: bool = Field(
        default=True, description="`false` writes no `reasoning.delta` and `tool_call.delta`, only text"
    )
    stream_max_seconds: int = Field(600, ge=1, description="how long a stream lasts, at most 1500; clients then resume")
    message_wait_seconds: int = Field(60, ge=0, description="how long POST messages waits for its answer, at most 200")
    max_steps: int = Field(10, ge=1, le=50, description="maximum number of model calls in a turn")
    turn_timeout_seconds: int = Field(900, ge=5, description="how long a turn may take, at most 1500")
    approval_timeout: timedelta = Field(
        timedelta(days=7),
        ge=timedelta(seconds=1),
        le=timedelta(days=365),
        description="how long a turn waits for an approval or a client's tool: seconds, or for example 30m, 12h, 7d",
    )
    sweep_seconds: Literal[1, 2, 5, 10, 15, 20, 30, 60, 120, 300] | None = Field(
        None,
        description="seconds between sweeps, which repair interrupted turns: 1, 2, 5, 10, 15, 20, 30, 60, 120 or 300",
    )
    session_ttl_days: int | None = Field(
        None, ge=1, le=36_500, description="sessions in which nothing happens for so long are deleted; empty: never"
    )
    queue_limit: int = Field(
        20, ge=0, le=200, description="maximum number of messages that wait in a session, at most 200"
    )
    taskhub_name: str = Field(
        "turnlog",
        pattern=r"^[A-Za-z][A-Za-z0-9]{2,44}$",
        description="Durable task hub of this app; host.json reads it",
    )
    telemetry: Literal["console", "off"] | None = Field(
        None, description="`console` prints spans, metrics and logs; `off` records nothing, whatever else is set"
    )
    telemetry_content: bool = Field(default=False, description="`true` records prompts, answers and tool arguments")
    applicationinsights_connection_string: SecretStr | None = Field(
        None, description="Application Insights that receives telemetry"
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="OTLP collector (HTTP) that receives telemetry; needs the packages of the extra `otlp`"
    )

    _from_list = field_validator("delta_flush_ms", mode="before")(split_list)
    _are_urls = field_validator("cosmos_endpoint", "otel_exporter_otlp_endpoint")(is_url)

    @field_validator("approval_timeout", mode="before")
    @classmethod
    def _from_unit(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"(\d{1,9})([smhd]?)", value.strip(), re.ASCII)
        if match is None:
            raise ValueError(f"takes seconds, or a number with s, m, h or d, for example 7d, not {value!r}")
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2] or "s"])

    @field_validator("sweep_seconds", mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        """Read the text of a variable: pydantic takes no text for a choice of numbers."""
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("turn_timeout_seconds", "stream_max_seconds")
    @classmethod
    def _ends_before_the_function(cls, value: int) -> int:
        maximum, function = int(MAX_WORK_TIME.total_seconds()), int(FUNCTION_TIMEOUT.total_seconds())
        if value > maximum:
            raise ValueError(
                f"must be at most {maximum}, not {value}: at functionTimeout in host.json ({function}) the host"
                " restarts the worker, and everything that runs in it is lost"
            )
        return value

    @field_validator("message_wait_seconds")
    @classmethod
    def _ends_before_the_network(cls, value: int) -> int:
        maximum, network = int(MAX_WAIT.total_seconds()), int(NETWORK_IDLE_TIMEOUT.total_seconds())
        if value > maximum:
            raise ValueError(
                f"must be at most {maximum}, not {value}: a request silent for {network} seconds is dropped"
            )
        return value

    @field_validator("delta_flush_ms")
    @classmethod
    def _are_pauses(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or min(value) < 0):
            raise ValueError("takes milliseconds separated by commas, for example 100,200,400,500")
        return value

    @field_validator("applicationinsights_connection_string")
    @classmethod
    def _is_connection_string(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and "InstrumentationKey=" not in value.get_secret_value():
            raise ValueError("takes InstrumentationKey=…;IngestionEndpoint=… as Application Insights shows it")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.on_azure:
            if self.cosmos_endpoint is None:
                raise ValueError("COSMOS_ENDPOINT is not set: Azure needs Cosmos DB, SQLite is for one machine only")
            if self.openai_base_url is None:
                raise ValueError("OPENAI_BASE_URL is not set: name an OpenAI-compatible endpoint")
            if self.auth_mode == "none":
                raise ValueError(
                    "AUTH_MODE=none is for one machine only: set jwt, or easyauth with authentication enabled"
                )
            if self.ticket_key is None:
                raise ValueError("TICKET_KEY is not set: all instances must accept the tickets of one another")
        if faults := self.faults(has_feed=self.cosmos_endpoint is not None):
            raise ValueError(faults[0])
        if self.otel_exporter_otlp_endpoint is not None and self.telemetry != "off" and not _has_otlp():
            raise ValueError("OTEL_EXPORTER_OTLP_ENDPOINT needs packages: install the extra `otlp` of pyproject.toml")
        return self

    @property
    def on_azure(self) -> bool:
        """Whether this process is an instance of a function app, not a single machine."""
        return "WEBSITE_INSTANCE_ID" in os.environ

    @property
    def has_telemetry(self) -> bool:
        """Whether telemetry has a destination."""
        destinations = (self.telemetry, self.applicationinsights_connection_string, self.otel_exporter_otlp_endpoint)
        return self.telemetry != "off" and any(destinations)

    @property
    def timings(self) -> Timings:
        return ONE_MACHINE if self.cosmos_endpoint is None else CLOUD

    @property
    def flush_ms(self) -> tuple[int, ...]:
        return self.delta_flush_ms or self.timings.flush_ms

    @property
    def sweep_schedule(self) -> str:
        """When the sweep runs: NCRONTAB, with seconds."""
        seconds = self.sweep_seconds or self.timings.sweep_seconds
        return f"*/{seconds} * * * * *" if seconds < 60 else f"0 */{seconds // 60} * * * *"


def _has_otlp() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def runs_durable_alone() -> bool:
    """Whether this instance runs only durable functions. On Flex Consumption the platform sets this variable."""
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
        SettingsError: a variable is wrong or missing.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue]  # fields come from the environment
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"]) for item in error.errors()]
        raise SettingsError("Settings can't be used: " + "; ".join(problems)) from None
