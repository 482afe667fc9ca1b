"""The settings of the model and its server, and how settings are read."""

import json
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from turnlog.domain.options import check_headers, check_options
from turnlog.domain.prices import Prices, parse_prices
from turnlog.timings import MAX_WORK_TIME

_MAX_SECONDS = int(MAX_WORK_TIME.total_seconds())


def split_list(value: Any) -> Any:
    """The parts of a comma-separated text."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def is_url(value: str | None) -> str | None:
    """`value`, if it is a URL. Raises ValueError."""
    if value is not None and not (value.startswith(("https://", "http://")) and _has_host(value)):
        raise ValueError(f"takes a URL, for example https://example.com/, not {value!r}")
    return value


def _has_host(text: str) -> bool:
    try:
        url = urlsplit(text)
        return bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return False


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


class ModelSettings(BaseSettings):
    """The variables that say which model is called, and how."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    openai_base_url: str | None = Field(
        None, description="any OpenAI-compatible endpoint; `make run` starts a scripted model when it is not set"
    )
    openai_api_key: SecretStr | None = Field(
        None, description="its key; without a key an Azure endpoint is called with the managed identity"
    )
    model: str = Field("fake-60-30", description="model of messages that name none; required with OPENAI_BASE_URL")
    allowed_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated models that a message may request; empty allows any"
    )
    model_prices: Annotated[Prices, NoDecode] = Field(
        Prices(),
        description="JSON object of prices per million tokens, for example"
        ' `{"gpt-5*": {"input": 1.25, "output": 10}}` (docs/use/budgets.md); `cost` appears when it is set',
    )
    model_api: Literal["chat", "responses"] = Field(
        "chat", description="`chat`: Chat Completions, which all servers have; `responses`: OpenAI's Responses API"
    )
    model_options: Annotated[dict[str, Any], NoDecode] = Field(
        {}, description='JSON object added to each request, for example `{"temperature": 0}`; null takes a field out'
    )
    model_headers: Annotated[dict[str, str], NoDecode] = Field(
        {}, description='JSON object of headers added to each request, for example `{"X-Title": "Turnlog"}`'
    )
    model_max_silence_seconds: int = Field(
        120, ge=1, le=_MAX_SECONDS, description="how long a model's server may send nothing before it is called again"
    )
    model_max_call_seconds: int = Field(600, ge=1, le=_MAX_SECONDS, description="how long one model call may take")

    _models_from_list = field_validator("allowed_models", mode="before")(split_list)
    _base_is_url = field_validator("openai_base_url")(is_url)

    @field_validator("model_options", "model_headers", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            parsed = json.loads(value, parse_constant=_refuse_constant)
        except ValueError as error:
            raise ValueError(f"takes a JSON object: {error}") from None
        if not isinstance(parsed, dict):
            raise ValueError("takes a JSON object")  # noqa: TRY004  # pydantic takes no TypeError
        return cast("dict[str, Any]", parsed)

    @field_validator("model_prices", mode="before")
    @classmethod
    def _are_prices(cls, value: Any) -> Any:
        return parse_prices(value) if isinstance(value, str) else value

    @field_validator("model_options")
    @classmethod
    def _are_options(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_options(value)
        return value

    @field_validator("model_headers")
    @classmethod
    def _are_headers(cls, value: dict[str, str]) -> dict[str, str]:
        check_headers(value)
        return value

    @model_validator(mode="after")
    def _can_call_the_model(self) -> Self:
        if self.openai_base_url is not None and self.openai_api_key is None and not self.calls_azure:
            raise ValueError("OPENAI_API_KEY is not set: only an Azure endpoint can be called without a key")
        if self.has_model and "model" not in self.model_fields_set:
            server = "OpenAI" if self.openai_base_url is None else "OPENAI_BASE_URL"
            raise ValueError(f"MODEL is not set: name a model that {server} serves")
        return self

    @property
    def has_model(self) -> bool:
        """Whether there is a model to call. A key without an endpoint is a key of OpenAI."""
        return self.openai_base_url is not None or self.openai_api_key is not None

    @property
    def calls_azure(self) -> bool:
        """Whether the model's endpoint takes Entra ID tokens."""
        url = urlsplit(self.openai_base_url or "")
        host = url.hostname or ""
        # Anyone may own a name below cloudapp.azure.com: the identity's token is not for them.
        is_azure = host.endswith(".azure.com") and not host.endswith(".cloudapp.azure.com")
        return is_azure and url.scheme == "https" and "@" not in url.netloc

    @property
    def model_max_silence(self) -> timedelta:
        return timedelta(seconds=self.model_max_silence_seconds)

    @property
    def model_max_call(self) -> timedelta:
        return timedelta(seconds=self.model_max_call_seconds)
