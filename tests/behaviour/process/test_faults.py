"""Every error has one fault domain."""

import re
from pathlib import Path

import pytest

from turnlog.api.edge.problems import problem, status_of
from turnlog.domain.errors import ModelError, StoreUnavailableError, TurnlogError
from turnlog.domain.faults import code_of, fault_domain
from turnlog.telemetry.turns import tool_label

OPERATIONS = (Path(__file__).parents[3] / "docs" / "run" / "operations.md").read_text()
DOMAINS_OF_OTHERS = {
    "store_unavailable": "store",
    "sequence_taken": "store",
    "revision_taken": "store",
    "identity_unavailable": "platform",
    "fanout_unavailable": "platform",
}


def kinds(kind: type[TurnlogError] = TurnlogError) -> list[type[TurnlogError]]:
    return [kind, *(below for each in kind.__subclasses__() for below in kinds(each))]


def test_refusals_are_faults_of_the_app_and_failures_of_others_are_theirs() -> None:
    for kind in kinds():
        assert fault_domain(kind.code) == DOMAINS_OF_OTHERS.get(kind.code, "app"), kind


def test_unavailability_is_never_a_fault_of_the_app() -> None:
    assert {kind.code for kind in kinds() if status_of(kind) == 503 and fault_domain(kind.code) == "app"} == set()


def documented_domains() -> dict[str, str]:
    """The fault domain of each failure code in docs/run/operations.md."""
    rows = re.findall(r"^\| (`[^|]+`) \|[^|]+\|[^|]+\| (\w+) \|$", OPERATIONS, re.MULTILINE)
    return {code: domain for codes, domain in rows for code in re.findall(r"`(\w+)`", codes)}


def test_every_failure_code_of_a_turn_has_its_documented_domain() -> None:
    documented = documented_domains()

    assert {code: fault_domain(code) for code in documented} == documented
    assert set(documented.values()) == {"app", "model", "platform"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelError("model_timeout", "late", transient=True), "model_timeout"),
        (StoreUnavailableError("away"), "store_unavailable"),
        (ValueError("a bug"), "internal_error"),
    ],
)
def test_every_error_has_a_code(error: Exception, code: str) -> None:
    assert code_of(error) == code


def test_callers_never_read_the_text_of_a_failed_store(caplog: pytest.LogCaptureFixture) -> None:
    error = StoreUnavailableError("The SQLite file /srv/data/sessions.db can't be used: disk I/O error.")

    answered = bytes(problem(error, "0" * 32).body).decode()

    assert StoreUnavailableError.sentence
    assert StoreUnavailableError.sentence in answered
    assert "sessions.db" not in answered
    assert "/srv/data/sessions.db" in caplog.text


def test_a_tool_that_a_model_invented_has_no_label() -> None:
    assert (tool_label("calculate"), tool_label("tell my secret")) == ("calculate", "unknown")
