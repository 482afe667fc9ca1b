"""The owner of what a caller creates: different callers are different owners, whatever their claims hold."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.api.edge.principal import owner_in, read_principal
from turnlog.domain.errors import UnauthenticatedError

PARTS = st.tuples(*[st.text(alphabet="a|%7C25", max_size=6)] * 2, st.text(alphabet="a|%7C25", min_size=1, max_size=6))
ENTRA = "https://login.microsoftonline.com/tenant/v2.0"


def header(*claims: Any, **more: Any) -> str:
    return base64.b64encode(json.dumps({"claims": claims, **more}).encode()).decode()


def claim(name: Any, value: Any) -> dict[str, Any]:
    return {"typ": name, "val": value}


def owner_of(parts: tuple[str, str, str]) -> str:
    issuer, tenant, subject = parts
    return owner_in({"iss": issuer, "tid": tenant, "sub": subject}, is_entra=False)


def owner_of_principal(principal: str) -> str:
    claims, is_entra = read_principal(principal)
    return owner_in(claims, is_entra=is_entra)


@given(one=PARTS, other=PARTS)
def test_different_callers_are_different_owners(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (owner_of(one) == owner_of(other)) == (one == other)


def test_the_object_id_counts_only_where_entra_id_issued_it() -> None:
    claims = {"iss": "https://issuer", "oid": "chosen", "sub": "real"}

    assert owner_in(claims, is_entra=False) == "https://issuer||real"
    assert owner_in(claims, is_entra=True) == "https://issuer||chosen"
    only_object_id = owner_in({"iss": "https://issuer", "oid": "real"}, is_entra=False)
    assert only_object_id != owner_in(claims, is_entra=False)


@pytest.mark.parametrize(
    ("issuer", "more", "is_entra"),
    [
        (ENTRA, {}, True),
        ("https://sts.windows.net/tenant/", {}, True),
        ("https://tenant.ciamlogin.com/tenant/v2.0", {}, True),
        ("https://issuer", {"auth_typ": "aad"}, False),
        ("https://login.microsoftonline.com.evil.example/", {}, False),
        ("https://evil.example/login.microsoftonline.com", {}, False),
        ("https://[", {}, False),
        (None, {"auth_typ": "aad"}, True),
        (None, {}, True),
        (None, {"auth_typ": "google"}, False),
        (None, {"auth_typ": ["aad"]}, False),
    ],
)
def test_who_issued_a_principal_is_known(issuer: str | None, more: dict[str, Any], is_entra: bool) -> None:
    claims = [] if issuer is None else [claim("iss", issuer)]

    assert read_principal(header(*claims, **more))[1] is is_entra


@pytest.mark.parametrize(
    "principal",
    [
        "!!",
        "\ud800",
        base64.b64encode(b"[" * 100_000).decode(),
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b"7").decode(),
        header(claim("oid", [["x"]])),
        header(claim(["oid"], "x")),
        header(claim("oid", None)),
        header([["oid", "x"]]),
        header(claim("oid", "\ud800")),
        header(claim("oid", "")),
        header(claim("oid", "one"), claim("oid", "other")),
        header(claim("iss", "one"), claim("iss", "other"), claim("sub", "x")),
        base64.b64encode(b'{"claims": null}').decode(),
        "",
    ],
)
def test_a_principal_that_names_no_one_caller_is_refused(principal: str) -> None:
    with pytest.raises(UnauthenticatedError):
        owner_of_principal(principal)


def test_a_claim_may_have_several_values() -> None:
    claims, _ = read_principal(header(claim("roles", "a"), claim("roles", "b"), claim("roles", "c"), claim("sub", "x")))

    assert claims == {"roles": ["a", "b", "c"], "sub": "x"}
