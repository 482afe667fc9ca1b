"""Which pages may call: named origins, and where nobody signs in, pages of this machine."""

import pytest

from turnlog.domain.origins import allowed_origins

LOCAL = [
    "http://localhost:3000",
    "https://localhost",
    "http://127.0.0.1:5173",
    "http://127.1.2.3",
    "http://[::1]:8080",
    "https://[::1]",
    "http://app.localhost:3000",
    "https://devbox:8443",
]
ELSEWHERE = [
    "https://evil.example",
    "http://localhost.evil.example",  # also one whose name points to 127.0.0.1
    "http://127.0.0.1.nip.io",
    "http://localtest.me:3000",
    "http://10.0.0.1",
    "http://0.0.0.0",
    "http://[::2]",
    "http://localhost:x@evil.example",
    "file://localhost",
    "chrome-extension://localhost",
    "http://[",
    "localhost",
    "null",
    "",
]


@pytest.mark.parametrize("origin", LOCAL)
def test_pages_of_this_machine_may_call_only_where_nobody_signs_in(origin: str) -> None:
    assert allowed_origins("none", (), ("DevBox",)).allows(origin)
    assert not allowed_origins("jwt", (), ("DevBox",)).allows(origin)


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_no_other_page_may_call_unless_its_origin_is_named(origin: str) -> None:
    assert not allowed_origins("none", ("https://app.example/",), ("devbox",)).allows(origin)


def test_a_named_origin_is_exact() -> None:
    allowed = allowed_origins("easyauth", ("https://app.example/", "http://localhost:3000"), ())

    assert allowed.allows("https://app.example")
    assert allowed.allows("http://localhost:3000")
    assert not allowed.allows("http://app.example")
    assert not allowed.allows("https://app.example:444")
    assert not allowed.allows("http://localhost:3001")
    assert not allowed.has_all


def test_a_star_allows_every_page() -> None:
    assert allowed_origins("jwt", ("*",), ()).has_all
    assert allowed_origins("jwt", ("*",), ()).allows("https://any.example")
