"""What a caller reads holds no key, token, account, path or host, and otherwise says what it said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import unhurried
from turnlog.domain.redaction import redact, redact_keys


@pytest.mark.parametrize(
    "secret",
    [
        "sk-12**cd",
        "sk-proj-abcdefghijklmnop",
        "gsk_abcdefghijklmnop",
        "xai-abcdefghijklmnop",
        "hf_abcdefghijklmnop",
        "csk-abcdefghijklmnop",
        "nvapi-abcdefghijklmnop",
        "github_pat_abcdefghijklmnop",
        "AIzaSyA-abcdefghijklmnopqrstuvw",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "0123456789abcdef0123456789abcdef",
        "4fZx" * 21,
        "org-abcdEFGH12345678",
        "arn:aws:iam::123456789012:user/somebody",
        "10.0.0.10",
        "10.0.0.10:53",
        "2001:db8:0:0:0:0:2:1",
        "localhost:11434",
        "gpu-7.llm.internal",
        "llm.prod.svc.cluster.local",
        "my-resource.openai.azure.com",
        "node-1.dc:8000",
        "https://llm.corp/v1?key=1",
        "wss://user:pass@host/path",
        "/home/somebody/.config/key",
        "C:\\Users\\somebody\\key.txt",
        "\\\\server\\share\\key.txt",
        "file:///home/somebody/key.txt",
        "postgres://somebody:hunter22@db/turns",
        "Ab1/" * 21 + "Ab==",
    ],
)
@pytest.mark.parametrize("sentence", ["Upstream said: {}.", "'{}' is not allowed", "({})", "{}"])
def test_a_secret_is_taken_out_of_a_sentence(secret: str, sentence: str) -> None:
    text = redact(sentence.format(secret))

    assert secret not in text
    assert text != sentence


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def"),
        ("authorization: basic dXNlcjpwYXNz", "dXNl"),
        ("?api_key=hunter22&x=1", "hunter22"),
        ("/sessions/demo/stream?after=3&ticket=hunter-22_a&follow=true", "hunter-22_a"),
        ('{"api-key": "hunter22"}', "hunter22"),
        ("api key: hunter22", "hunter22"),
        ("password=hunter22;", "hunter22"),
        ("sig=hunter22", "hunter22"),
        ("client_secret=hunter22", "hunter22"),
        ("x-access-token: hunter22", "hunter22"),
    ],
)
def test_a_value_is_taken_out_where_its_name_says_what_it_is(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_what_the_app_itself_sends_is_taken_out_whatever_it_looks_like() -> None:
    assert redact("no-key-of-ours is not known", ["no-key-of-ours"]) == "[redacted] is not known"
    assert redact("no key of ours", ["no"]) == "no key of ours"  # too short to be a secret


def test_the_operator_reads_where_it_happened_and_no_key() -> None:
    reply = "Bearer abc.def-123 was refused by https://user:hunter22@llm.corp/v1 (/srv/llm/keys.json)"

    assert redact_keys(reply) == "Bearer [redacted] was refused by https://[redacted]@llm.corp/v1 (/srv/llm/keys.json)"


@pytest.mark.parametrize(
    "sentence",
    [
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
        "Unknown parameter: 'stream_options.include_usage'.",
        "messages.2.content.0: text content blocks must be non-empty",
        "The model `meta-llama/Llama-3.3-70B-Instruct` does not exist",
        "Tool call id was call_abc123 but must be a-z, A-Z, 0-9, with a length of 9.",
        "max_tokens:4096 is too large, gpt-4.1 takes 32768 and/or less",
        "Rate limit reached: 10:30:45, try again in 1m30.5s.",
        "registry.ollama.ai/library/gemma:latest does not support tools",
        "v1.2.3 of functions.calculate said no",
        "",
    ],
)
def test_an_ordinary_sentence_stays_as_it_is(sentence: str) -> None:
    assert redact(sentence) == sentence


@unhurried
@given(st.text(st.sampled_from("ak-./:=\\ sk1_@Bearer tokn"), max_size=40))
def test_what_is_redacted_stays_so(text: str) -> None:
    assert redact(redact(text)) == redact(text)
