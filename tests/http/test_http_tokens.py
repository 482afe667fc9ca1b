"""Bearer tokens: whose they are, what they allow, and that none but the issuer's are taken."""

import base64
import hmac
import json
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.http.api_client import JSON, Api, Host, api_of, new_id, ok, refusal, running_host
from tests.http.issuer import ALL, AUDIENCE, Issuer, SigningKey, bearing

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Host]:
    with running_host(tmp_path_factory.mktemp("tokens"), issuer.settings) as host:
        yield host


@pytest.fixture
async def anyone(guarded: Host) -> AsyncGenerator[Api]:
    async with api_of(guarded) as api:
        yield api


async def test_a_session_is_its_subjects_and_nobody_elses(anyone: Api, issuer: Issuer) -> None:
    ann, bob = bearing(issuer.token("ann")), bearing(issuer.token("bob"))
    session_id = ok(await anyone.http.post("/sessions", json={}, headers=ann), 201)["session_id"]

    message = ok(await anyone.http.post(f"/sessions/{session_id}/messages", json={"content": "Hi"}, headers=ann))

    assert message["status"] == "completed"
    async with anyone.http.stream("GET", f"/sessions/{session_id}/stream", headers=ann) as stream:
        assert "event: done" in (await stream.aread()).decode()
    for path in ("", "/stream", "/messages"):
        refusal(await anyone.http.get(f"/sessions/{session_id}{path}", headers=bob), 404, "session_not_found")
    assert ok(await anyone.http.get("/sessions", headers=bob))["sessions"] == []
    other_tenant = bearing(issuer.token("ann", tid="another"))
    refusal(await anyone.http.get(f"/sessions/{session_id}", headers=other_tenant), 404, "session_not_found")


async def test_a_claim_that_says_nothing_is_as_good_as_none(anyone: Api, issuer: Issuer) -> None:
    empty = issuer.keys[0].sign({**issuer.claims("eve"), "oid": None, "tid": None})
    session_id = ok(await anyone.http.post("/sessions", json={}, headers=bearing(empty)), 201)["session_id"]

    ok(await anyone.http.get(f"/sessions/{session_id}", headers=bearing(issuer.token("eve"))))


async def test_keys_of_either_kind_are_taken(anyone: Api, issuer: Issuer) -> None:
    for key in issuer.keys:
        ok(await anyone.http.get("/sessions", headers=bearing(key.sign(issuer.claims()))))


_ALIEN = SigningKey("one")


def _part(value: JSON) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _unsigned(issuer: Issuer) -> str:
    return f"{_part({'alg': 'none', 'kid': 'one'})}.{_part(issuer.claims())}."


def _with_another_subject(issuer: Issuer) -> str:
    head, _, signature = issuer.token("ann").split(".")
    return f"{head}.{_part(issuer.claims('bob'))}.{signature}"


def _signed_with_what_is_public(issuer: Issuer) -> str:
    """Taken by whoever lets the token choose the algorithm: the public key becomes the secret of an HMAC."""
    public = issuer.keys[1].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{_part({'alg': 'HS256', 'kid': 'two'})}.{_part(issuer.claims())}"
    signature = hmac.digest(public, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


_FORGERIES: dict[str, Callable[[Issuer], str]] = {
    "another's key under the same name": lambda issuer: _ALIEN.sign(issuer.claims()),
    "a name that is not published": lambda issuer: SigningKey("three").sign(issuer.claims()),
    "another key's name": lambda issuer: issuer.keys[0].sign(issuer.claims(), kid="two"),
    "no signature": _unsigned,
    "another subject": _with_another_subject,
    "a public key for a secret": _signed_with_what_is_public,
    "over": lambda issuer: issuer.token(exp=int(time.time()) - 120),
    "not yet": lambda issuer: issuer.token(nbf=int(time.time()) + 120),
    "without an end": lambda issuer: issuer.token(exp=None),
    "another audience": lambda issuer: issuer.token(aud="api://another"),
    "audience prefix": lambda issuer: issuer.token(aud=AUDIENCE[:-1]),
    "no audience": lambda issuer: issuer.token(aud=None),
    "another issuer": lambda issuer: issuer.token(iss="https://another"),
    "issuer with a slash": lambda issuer: issuer.token(iss=f"{issuer.url}/"),
    "no issuer": lambda issuer: issuer.token(iss=None),
    "no subject": lambda issuer: issuer.token(sub=None),
    "an empty subject": lambda issuer: issuer.token(""),
    "a number for a subject": lambda issuer: issuer.keys[0].sign(issuer.claims() | {"sub": 7}),
    "no token": lambda _: "x",
    "two dots": lambda _: "..",
    "a body that is a list": lambda _: "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSJ9.W10.AAAA",
}


@pytest.mark.parametrize("forgery", _FORGERIES)
async def test_what_is_not_the_issuers_for_us_and_now_is_refused(anyone: Api, issuer: Issuer, forgery: str) -> None:
    own = new_id()

    response = await anyone.http.post(
        "/sessions", json={"session_id": own}, headers=bearing(_FORGERIES[forgery](issuer))
    )

    refusal(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"
    ok(await anyone.http.post("/sessions", json={"session_id": own}, headers=bearing(issuer.token())), 201)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer    x y", "Basic YTpi", "eyJ"])
async def test_who_carries_no_token_is_not_known(anyone: Api, header: str) -> None:
    refusal(await anyone.http.get("/sessions", headers={"authorization": header}), 401, "unauthenticated")


async def test_identity_headers_of_the_platform_mean_nothing_here(anyone: Api) -> None:
    claims = base64.b64encode(json.dumps({"claims": [{"typ": "oid", "val": "ann"}]}).encode()).decode()

    refusal(await anyone.http.get("/sessions", headers={"x-ms-client-principal": claims}), 401, "unauthenticated")


_READ, _WRITE, _APPEND = ALL.split()


_GRANTS: list[tuple[JSON, set[str]]] = [
    ({"scp": _READ}, {"get"}),
    ({"scp": _WRITE}, {"create", "append"}),
    ({"scp": _APPEND}, {"append"}),
    ({"scp": None, "roles": [_READ, _APPEND]}, {"get", "append"}),
    ({"scp": None, "scope": f"openid {_READ} {_WRITE}"}, {"get", "create", "append"}),
    ({"scp": "sessions.readonly sessions"}, set()),
    ({"scp": None}, set()),
    ({"scp": 7, "roles": {"sessions.write": 1}, "scope": [7, _READ]}, {"get"}),
]


@pytest.mark.parametrize(("granted", "allowed"), _GRANTS)
async def test_a_token_allows_what_its_scopes_say(
    anyone: Api, issuer: Issuer, granted: JSON, allowed: set[str]
) -> None:
    session_id = ok(await anyone.http.post("/sessions", json={}, headers=bearing(issuer.token())), 201)["session_id"]
    headers = bearing(issuer.token(**granted))

    answers = {
        "get": await anyone.http.get(f"/sessions/{session_id}", headers=headers),
        "create": await anyone.http.post("/sessions", json={}, headers=headers),
        "append": await anyone.http.post(
            f"/sessions/{session_id}/events", json={"event_type": "note"}, headers=headers
        ),
    }
    watched = await anyone.http.post("/negotiate", json={"session_id": session_id}, headers=headers)

    assert watched.status_code == (501 if "get" in allowed else 403)  # it reads, and there is no SignalR here
    for name, answer in answers.items():
        if name in allowed:
            assert answer.status_code in {200, 201}, name
        else:
            refusal(answer, 403, "forbidden")
    seen = ok(await anyone.http.get(f"/sessions/{session_id}", headers=bearing(issuer.token())))
    assert seen["head"] == (2 if "append" in allowed else 1)


async def test_the_description_says_where_a_token_goes(anyone: Api) -> None:
    described = ok(await anyone.http.get("/api/openapi.json"))

    (scheme,) = described["components"]["securitySchemes"]
    assert described["security"] == [{scheme: []}]
    assert described["paths"]["/health"]["get"]["security"] == []
    assert "security" not in described["paths"]["/sessions"]["get"]


async def test_health_and_readiness_need_no_token(anyone: Api) -> None:
    ok(await anyone.http.get("/health"))
    ok(await anyone.http.get("/ready"))


async def test_as_long_as_the_keys_cannot_be_read_nobody_is_let_in_or_refused_for_good(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        issuer.is_broken = True
        host = stack.enter_context(running_host(tmp_path_factory.mktemp("outage"), issuer.settings))
        async with api_of(host) as api:
            for _ in range(3):
                response = await api.http.get("/sessions", headers=bearing(issuer.token()))
                assert refusal(response, 503, "identity_unavailable")["retryable"]
                assert response.headers["retry-after"]

            assert issuer.asked == 1
