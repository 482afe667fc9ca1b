"""A host that does not start reports the reason."""

from tests.e2e.hosts import error_lines


def test_the_error_is_reported_however_much_is_logged_after_it() -> None:
    noise = "[Azure.Core] Request GET http://127.0.0.1:10001/\n" * 500
    log = "Starting\nModuleNotFoundError: No module named 'azure.durable_functions'\n" + noise

    reason = error_lines(log)

    assert "No module named 'azure.durable_functions'" in reason
    assert len(reason) < 4000
