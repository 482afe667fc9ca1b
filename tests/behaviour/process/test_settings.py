"""The environment is read once: the defaults, and the values that are refused."""

import json
import sys
import traceback
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import SecretStr, ValidationError

from turnlog.domain.limits import OwnerLimits
from turnlog.settings import Settings, SettingsError, settings
from turnlog.timings import CLOUD, ONE_MACHINE, Timings

ROOT = Path(__file__).parents[3]

# Variables of the host and of turnlog/local/. All others in the file are settings of the app.
PLATFORM = {
    "AzureWebJobsStorage",
    "FUNCTIONS_WORKER_RUNTIME",
    "PYTHON_ENABLE_INIT_INDEXING",
    "PYTHONDONTWRITEBYTECODE",
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING",
    "AzureWebJobsDisableHomepage",
}
LOCAL = {"PORT", "HOST", "HOST_MODE", "LOG_LEVEL"}
IN_AZURE = {
    "WEBSITE_INSTANCE_ID": "1",
    "COSMOS_ENDPOINT": "https://x.documents.azure.com",
    "OPENAI_BASE_URL": "https://x.openai.azure.com/openai/v1/",
    "MODEL": "gpt",
    "AUTH_MODE": "easyauth",
    "TICKET_KEY": "k" * 36,
}


@pytest.fixture(autouse=True)
def forget_settings() -> Generator[None]:
    yield
    settings.cache_clear()


def read(environment: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        environment.setenv(name, value)
    settings.cache_clear()
    return settings()


def choices(annotation: Any) -> list[str]:
    """The texts that a variable with this annotation may have, if it is a choice."""
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice for part in get_args(annotation) for choice in choices(part)]


class OtherSettingsMissingError(Exception):
    """A choice needs other settings."""


def read_choice(environment: pytest.MonkeyPatch, name: str, text: str) -> Settings:
    try:
        return read(environment, **{name.upper(): text})
    except SettingsError as error:
        if f"{name.upper()} Input" in str(error):
            raise
        raise OtherSettingsMissingError from error


def test_one_machine_needs_no_setting(environment: pytest.MonkeyPatch) -> None:
    found = read(environment)

    assert (found.cosmos_endpoint, found.data_dir, found.auth_mode) == (None, Path(".data"), "none")
    assert (found.max_steps, found.turn_timeout_seconds, found.queue_limit) == (10, 900, 20)
    assert (found.allowed_models, found.cors_origins) == ((), ())


def test_settings_are_read_once_and_never_change(environment: pytest.MonkeyPatch) -> None:
    found = read(environment)
    environment.setenv("MAX_STEPS", "3")

    assert settings() is found
    with pytest.raises(ValidationError, match="frozen"):
        found.max_steps = 3


def test_an_empty_variable_is_not_set(environment: pytest.MonkeyPatch) -> None:
    found = read(environment, COSMOS_ENDPOINT="", MAX_STEPS="", DELTA_FLUSH_MS="", ALLOWED_MODELS="")

    assert (found.cosmos_endpoint, found.max_steps, found.delta_flush_ms) == (None, 10, None)


@pytest.mark.parametrize("name", [name for name, field in Settings.model_fields.items() if choices(field.annotation)])
def test_every_choice_is_taken_as_the_text_of_a_variable(environment: pytest.MonkeyPatch, name: str) -> None:
    for text in choices(Settings.model_fields[name].annotation):
        with suppress(OtherSettingsMissingError):
            assert str(getattr(read_choice(environment, name, text), name)) == text


def test_the_sweep_has_the_interval_of_its_variable(environment: pytest.MonkeyPatch) -> None:
    assert read(environment, SWEEP_SECONDS="30").sweep_schedule == "*/30 * * * * *"
    assert read(environment, SWEEP_SECONDS="120").sweep_schedule == "0 */2 * * * *"
    assert read(environment, SWEEP_SECONDS="").sweep_schedule == "*/1 * * * * *"


def test_lists_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    found = read(environment, ALLOWED_MODELS="a, b ,c,", CORS_ORIGINS="https://a", DELTA_FLUSH_MS="10, 20")

    assert found.allowed_models == ("a", "b", "c")
    assert found.cors_origins == ("https://a",)
    assert found.flush_ms == (10, 20)


@pytest.mark.parametrize(
    "origins", ["*", "https://a.example", "http://localhost:3000, https://a.example/", "http://[::1]:8080"]
)
def test_origins_as_browsers_send_them_are_accepted(environment: pytest.MonkeyPatch, origins: str) -> None:
    assert read(environment, CORS_ORIGINS=origins).cors_origins == tuple(origins.split(", "))


@pytest.mark.parametrize(
    "wrong",
    [
        "localhost:3000",
        "a.example",
        "//a.example",
        "https://",
        "https://a.example/app",
        "https://a.example?x",
        "https://*.a",
        "ftp://a.example",
        "https://me@a.example",
        "https://A.example",
        "https://a.example:port",
        "https://a.example:443",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_by_its_name(environment: pytest.MonkeyPatch, wrong: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read(environment, CORS_ORIGINS=f"https://b.example, {wrong}")

    assert "CORS_ORIGINS" in str(refusal.value)
    assert wrong in str(refusal.value)
    assert "https://b.example" not in str(refusal.value)


def test_all_origins_are_allowed_by_a_star_alone(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"CORS_ORIGINS has \* beside other origins"):
        read(environment, CORS_ORIGINS="*, https://a.example")


def test_options_and_headers_are_json_objects(environment: pytest.MonkeyPatch) -> None:
    found = read(environment, MODEL_OPTIONS='{"temperature": 0, "stop": null}', MODEL_HEADERS='{"X-Title": "Turnlog"}')

    assert found.model_options == {"temperature": 0, "stop": None}
    assert found.model_headers == {"X-Title": "Turnlog"}


@pytest.mark.parametrize(
    "wrong", [{"MODEL_HEADERS": "Bearer hidden"}, {"MODEL_HEADERS": '"hidden"'}, {"OPENAI_API_KEY": "hidden"}]
)
def test_an_error_shows_no_secret(environment: pytest.MonkeyPatch, wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refusal:  # a key without a model, or headers that are no object
        read(environment, **wrong)

    assert "hidden" not in "".join(traceback.format_exception(refusal.value, chain=True))


def test_a_reserved_option_is_refused_by_its_name(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="MODEL_OPTIONS may not have messages, n: the app sets these itself"):
        read(environment, MODEL_OPTIONS='{"n": 2, "messages": []}')


def test_timings_follow_the_store(environment: pytest.MonkeyPatch) -> None:
    assert (read(environment).timings, settings().flush_ms) == (ONE_MACHINE, (15,))
    found = read(environment, COSMOS_ENDPOINT="https://x")

    assert (found.timings, found.flush_ms) == (CLOUD, (100, 200, 400, 500))


@pytest.mark.parametrize("timings", [CLOUD, ONE_MACHINE])
def test_a_working_attempt_renews_its_lease_before_it_counts_as_lost(timings: Timings) -> None:
    # Half a lease may pass before its renewal is due; the store's clock may run ahead a little.
    assert timings.renew_lease_after * 1.5 < timings.lost_after
    assert timings.lost_after < timings.handover_after <= timings.begin_after
    assert timings.start_grace < timings.handover_after


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_STEPS", "0"),
        ("MAX_STEPS", "many"),
        ("TURN_TIMEOUT_SECONDS", "4"),
        ("AUTH_MODE", "maybe"),
        ("DELTA_FLUSH_MS", "fast"),
        ("DELTA_FLUSH_MS", "-1"),
        ("DELTA_FLUSH_MS", ","),
        ("DELTA_FLUSH_BYTES", "0"),
        ("QUEUE_LIMIT", "-1"),
        ("SWEEP_SECONDS", "7"),
        ("SWEEP_SECONDS", "60.5"),
        ("SWEEP_SECONDS", "often"),
        ("QUEUE_LIMIT", "201"),
        ("TELEMETRY", "loud"),
        ("TELEMETRY_CONTENT", "perhaps"),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "https://x"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
        ("MESSAGE_WAIT_SECONDS", "1000"),
        ("MODEL_API", "completions"),
        ("MODEL_OPTIONS", "temperature=0"),
        ("MODEL_OPTIONS", "[1]"),
        ("MODEL_OPTIONS", '{"temperature": NaN}'),
        ("MODEL_OPTIONS", '{"n": 2, "model": "other"}'),
        ("MODEL_PRICES", "0.1"),
        ("MODEL_PRICES", '{"gpt-5": {"input": 1}}'),
        ("MODEL_HEADERS", '{"X-Count": 1}'),
        ("MODEL_HEADERS", '{"X Title": "a"}'),
        ("MODEL_HEADERS", '{"X-Title": "a\\nb"}'),
        ("MODEL_MAX_SILENCE_SECONDS", "0"),
        ("MODEL_MAX_CALL_SECONDS", "1501"),
        ("TASKHUB_NAME", "no-dashes"),
        ("SIGNALR_HUB", "no-dashes"),
        ("SOCKETIO_HUB", "no-dashes"),
        ("SOCKETIO_ENDPOINT", "x.webpubsub.azure.com"),
        ("WEBSOCKET_ENDPOINT", "x.webpubsub.azure.com"),
        ("SIGNALR_ENDPOINT", "x.service.signalr.net"),
    ],
)
def test_a_wrong_value_is_refused_by_its_variables_name(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read(environment, **{name: value})


@pytest.mark.parametrize("name", ["COSMOS_ENDPOINT", "OPENAI_BASE_URL", "AUTH_MODE"])
def test_in_azure_the_app_refuses_settings_for_one_machine(environment: pytest.MonkeyPatch, name: str) -> None:
    assert read(environment, **IN_AZURE).timings is CLOUD

    with pytest.raises(SettingsError, match=name):
        read(environment, **{name: ""})


def test_an_endpoint_needs_a_key_and_a_model(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        read(environment, OPENAI_BASE_URL="https://api.example.com/v1", MODEL="m")
    with pytest.raises(SettingsError, match="MODEL"):
        read(environment, OPENAI_API_KEY="k", MODEL="")

    assert read(environment, MODEL="m").openai_api_key == SecretStr("k")


def test_an_azure_endpoint_can_be_called_without_a_key(environment: pytest.MonkeyPatch) -> None:
    found = read(environment, OPENAI_BASE_URL="https://x.openai.azure.com/openai/v1/", MODEL="m")

    assert (found.calls_azure, found.openai_api_key) == (True, None)


def test_telemetry_is_off_without_a_destination(environment: pytest.MonkeyPatch) -> None:
    assert not read(environment).has_telemetry
    assert read(environment, TELEMETRY="console").has_telemetry
    assert read(environment, TELEMETRY="", APPLICATIONINSIGHTS_CONNECTION_STRING="InstrumentationKey=x").has_telemetry
    assert not read(environment, TELEMETRY="off").has_telemetry


def test_a_collector_needs_packages_that_not_every_app_has(environment: pytest.MonkeyPatch) -> None:
    assert read(environment, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318").has_telemetry

    environment.setitem(sys.modules, "opentelemetry.exporter.otlp.proto", None)
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT needs packages"):
        read(environment)
    assert not read(environment, TELEMETRY="off").has_telemetry


def test_tokens_need_an_issuer_an_audience_and_keys(environment: pytest.MonkeyPatch) -> None:
    needed = {"JWT_ISSUER": "https://i", "JWT_AUDIENCE": "a", "JWT_JWKS_URL": "https://i/keys"}
    assert read(environment, **(IN_AZURE | needed | {"AUTH_MODE": "jwt"})).auth_mode == "jwt"

    for name in needed:
        with pytest.raises(SettingsError, match=name):
            read(environment, **(needed | {name: ""}))


@pytest.mark.parametrize(
    "url",
    [
        "http://i/keys",
        "file:///etc/passwd",
        "http://localhost.evil.example/",
        "http://localhost:x@evil.example/",
        "https://user:key@i/keys",
        "http://127.0.0.1:0/keys",
        "http://localhost\\@evil.example/",
        "https:///keys",
        "https://i:port/keys",
        "keys",
    ],
)
def test_keys_are_read_over_https(environment: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(SettingsError, match="JWT_JWKS_URL"):
        read(environment, JWT_JWKS_URL=url)

    assert read(environment, JWT_JWKS_URL="http://127.0.0.1:8080/keys").jwt_jwks_url


@pytest.mark.parametrize(
    ("url", "is_azure"),
    [
        ("https://x.openai.azure.com/openai/v1/", True),
        ("https://X.OpenAI.Azure.Com:443/openai/v1", True),
        ("https://evil.example/.azure.com/", False),
        ("https://evil.example?x.openai.azure.com", False),
        ("https://x.openai.azure.com@evil.example/", False),
        ("https://x.azure.com.evil.example/", False),
        ("https://evil.cloudapp.azure.com/v1", False),
        ("http://x.openai.azure.com/v1", False),
    ],
)
def test_only_azure_gets_the_identitys_token(environment: pytest.MonkeyPatch, url: str, is_azure: bool) -> None:
    found = read(environment, OPENAI_BASE_URL=url, OPENAI_API_KEY="k", MODEL="m")

    assert found.calls_azure is is_azure


@pytest.mark.parametrize("url", ["https://", "http://:80/", "https://x:port/", "http://["])
def test_a_url_needs_a_host(environment: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(SettingsError, match="OPENAI_BASE_URL takes a URL"):
        read(environment, OPENAI_BASE_URL=url, OPENAI_API_KEY="k", MODEL="m")


def test_owners_are_limited_where_callers_sign_in(environment: pytest.MonkeyPatch) -> None:
    assert read(environment).owner_limits == OwnerLimits()
    assert read(environment, MAX_TURNS="2").owner_limits == OwnerLimits(turns=2)
    assert read(environment, AUTH_MODE="easyauth").owner_limits == OwnerLimits(100, 100, 2)
    assert read(environment, MAX_STREAMS="3").owner_limits == OwnerLimits(100, 3, 2)


@pytest.mark.parametrize("name", ["SOCKETIO_ENDPOINT", "WEBSOCKET_ENDPOINT"])
def test_web_pubsub_needs_the_change_feed_of_cosmos_db(environment: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is set without COSMOS_ENDPOINT"):
        read(environment, **{name: "https://x.webpubsub.azure.com"})


def test_socketio_needs_the_keys_that_sign_its_events(environment: pytest.MonkeyPatch) -> None:
    service = {"COSMOS_ENDPOINT": "https://x.documents.azure.com", "SOCKETIO_ENDPOINT": "https://x.webpubsub.azure.com"}
    with pytest.raises(SettingsError, match="SOCKETIO_ENDPOINT is set without SOCKETIO_ACCESS_KEYS"):
        read(environment, **service)

    found = read(environment, **service, SOCKETIO_ACCESS_KEYS="first, second")
    assert [key.get_secret_value() for key in found.socketio_access_keys] == ["first", "second"]
    assert "first" not in repr(found)


def test_signalr_needs_the_change_feed_of_cosmos_db(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="SIGNALR_ENDPOINT is set without COSMOS_ENDPOINT"):
        read(environment, SIGNALR_ENDPOINT="https://x.service.signalr.net")

    found = read(environment, COSMOS_ENDPOINT="https://x")
    assert (found.signalr_endpoint, found.signalr_hub) == ("https://x.service.signalr.net", "turnlog")


def test_a_key_is_not_shown(environment: pytest.MonkeyPatch) -> None:
    found = read(environment, OPENAI_BASE_URL="https://x/v1", OPENAI_API_KEY="sk-secret", MODEL="m")

    assert "sk-secret" not in f"{found!r} {found}"


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_example_has_exactly_the_known_variables() -> None:
    example = json.loads((ROOT / "local.settings.example.json").read_text(encoding="utf-8"))

    assert set(example["Values"]) == {name.upper() for name in Settings.model_fields} | PLATFORM | LOCAL


def test_the_example_holds_the_defaults(environment: pytest.MonkeyPatch) -> None:
    plain = read(environment)
    example = json.loads((ROOT / "local.settings.example.json").read_text(encoding="utf-8"))

    assert read(environment, **example["Values"]) == plain


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("12h", 12 * 3600), ("7d", 7 * 24 * 3600)]
)
def test_the_approval_timeout_has_a_unit(environment: pytest.MonkeyPatch, text: str, seconds: int) -> None:
    assert read(environment, APPROVAL_TIMEOUT=text).approval_timeout.total_seconds() == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-1", "1.5h", "366d", "7 days"])
def test_an_invalid_approval_timeout_is_refused_by_its_name(environment: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(SettingsError, match="APPROVAL_TIMEOUT"):
        read(environment, APPROVAL_TIMEOUT=text)
