"""What a model's server said leaves the client without secrets, and is in the operator's log without keys."""

from typing import Any

import pytest

from turnlog.domain.errors import ModelError
from turnlog.models.assembly import Assembly
from turnlog.models.failures import failure_in
from turnlog.models.redaction import MAX_MESSAGE_LENGTH, ModelErrorRedactor

KEY = "our own key: not like others"
REDACTOR = ModelErrorRedactor("https://inference.example.eu:8443/v1?tenant=blue-team", [KEY])


def text_of(value: Any, headers: dict[str, str] | None = None) -> str:
    """What callers read of an error that the server sent."""
    with pytest.raises(ModelError) as raised, REDACTOR.redacting(headers):
        raise failure_in(value, "model_error")
    return str(raised.value)


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        "inference.example.eu",
        "inference.example.eu:8443",
        "tenant=blue-team",
        "/srv/llm/keys.json",
        "value of ours",
    ],
)
def test_callers_read_neither_keys_nor_places(secret: str) -> None:
    text = text_of(f"<{secret}> is not known", {"x-gateway": "value of ours"})

    assert secret not in text
    assert text.startswith("The model's server reports: ")


def test_a_sentence_that_helps_stays() -> None:
    assert text_of("prompt is too long: 9000 tokens") == "The model's server reports: prompt is too long: 9000 tokens"


def test_a_long_sentence_is_cut_after_its_secrets_are_gone() -> None:
    text = text_of("x" * (MAX_MESSAGE_LENGTH - len("The model's server reports: ") - 5) + KEY)

    assert "our own" not in text
    assert len(text) == MAX_MESSAGE_LENGTH + 1


def test_the_log_says_where_it_happened_without_keys(caplog: pytest.LogCaptureFixture) -> None:
    text_of(f"{KEY} is not in /srv/llm/keys.json on inference.example.eu")

    assert "model_error" in caplog.text
    assert "[redacted] is not in /srv/llm/keys.json on inference.example.eu" in caplog.text


def test_the_reason_why_an_answer_ended_is_short_and_without_secrets() -> None:
    assembly = Assembly()

    list(assembly.add({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "at 10.0.0.1 " + "x" * 1000}]}))

    assert assembly.finish_reason is not None
    assert assembly.finish_reason.startswith("at [address] x")
    assert len(assembly.finish_reason) < 100
