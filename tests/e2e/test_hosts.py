"""A host that does not start says why."""

from tests.e2e.hosts import reason_in


def test_the_reason_is_found_however_much_is_logged_after_it() -> None:
    noise = "[Azure.Core] Request GET http://127.0.0.1:10001/\n" * 500
    log = "Starting\nModuleNotFoundError: No module named 'azure.durable_functions'\n" + noise

    reason = reason_in(log)

    assert "No module named 'azure.durable_functions'" in reason
    assert len(reason) < 4000
