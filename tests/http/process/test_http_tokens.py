"""Bearer tokens: only valid ones of the issuer are accepted; what their subjects own and their scopes allow."""

import base64
import hmac
import json
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.http.api_client import JSON, Api, Host, api_client, new_id, ok, refusal, running_host
from tests.http.process.issuer import ALL, AUDIENCE, Issuer, SigningKey, authorization

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
async def guarded_api(guarded: Host) -> AsyncGenerator[Api]:
    async with api_client(guarded) as api:
        yield api


async def test_a_session_belongs_to_the_subject_that_created_it(guarded_api: Api, issuer: Issuer) -> None:
    ann, bob = authorization(issuer.token("ann")), authorization(issuer.token("bob"))
    session_id = ok(await guarded_api.http.post("/sessions", json={}, headers=ann), 201)["session_id"]

    message = ok(await guarded_api.http.post(f"/sessions/{session_id}/messages", json={"content": "Hi"}, headers=ann))

    assert message["status"] == "completed"
    async with guarded_api.http.stream("GET", f"/sessions/{session_id}/stream", headers=ann) as stream:
        assert "event: done" in (await stream.aread()).decode()
    for path in ("", "/stream", "/messages"):
        refusal(await guarded_api.http.get(f"/sessions/{session_id}{path}", headers=bob), 404, "session_not_found")
    assert ok(await guarded_api.http.get("/sessions", headers=bob))["sessions"] == []
    other_tenant = authorization(issuer.token("ann", tid="another"))
    refusal(await guarded_api.http.get(f"/sessions/{session_id}", headers=other_tenant), 404, "session_not_found")


async def test_an_empty_claim_counts_as_absent(guarded_api: Api, issuer: Issuer) -> None:
    empty = issuer.keys[0].sign({**issuer.claims("eve"), "oid": None, "tid": None})
    session_id = ok(await guarded_api.http.post("/sessions", json={}, headers=authorization(empty)), 201)["session_id"]

    ok(await guarded_api.http.get(f"/sessions/{session_id}", headers=authorization(issuer.token("eve"))))


async def test_ec_and_rsa_keys_are_accepted(guarded_api: Api, issuer: Issuer) -> None:
    for key in issuer.keys:
        ok(await guarded_api.http.get("/sessions", headers=authorization(key.sign(issuer.claims()))))


_ALIEN = SigningKey("one")


def _part(value: JSON) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _unsigned(issuer: Issuer) -> str:
    return f"{_part({'alg': 'none', 'kid': 'one'})}.{_part(issuer.claims())}."


def _with_another_subject(issuer: Issuer) -> str:
    head, _, signature = issuer.token("ann").split(".")
    return f"{head}.{_part(issuer.claims('bob'))}.{signature}"


def _signed_with_the_public_key(issuer: Issuer) -> str:
    """A verifier that lets the token choose the algorithm would accept it: the public key is the secret of an HMAC."""
    public = issuer.keys[1].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{_part({'alg': 'HS256', 'kid': 'two'})}.{_part(issuer.claims())}"
    signature = hmac.digest(public, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


_FORGERIES: dict[str, Callable[[Issuer], str]] = {
    "another key with the same id": lambda issuer: _ALIEN.sign(issuer.claims()),
    "a key id that is not published": lambda issuer: SigningKey("three").sign(issuer.claims()),
    "the id of another key": lambda issuer: issuer.keys[0].sign(issuer.claims(), kid="two"),
    "no signature": _unsigned,
    "another subject": _with_another_subject,
    "a public key for a secret": _signed_with_the_public_key,
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 120),
    "not yet valid": lambda issuer: issuer.token(nbf=int(time.time()) + 120),
    "without an expiry": lambda issuer: issuer.token(exp=None),
    "another audience": lambda issuer: issuer.token(aud="api://another"),
    "audience prefix": lambda issuer: issuer.token(aud=AUDIENCE[:-1]),
    "no audience": lambda issuer: issuer.token(aud=None),
    "another issuer": lambda issuer: issuer.token(iss="https://another"),
    "issuer with a slash": lambda issuer: issuer.token(iss=f"{issuer.url}/"),
    "no issuer": lambda issuer: issuer.token(iss=None),
    "no subject": lambda issuer: issuer.token(sub=None),
    "an empty subject": lambda issuer: issuer.token(""),
    "a number for a subject": lambda issuer: issuer.keys[0].sign(issuer.claims() | {"sub": 7}),
    "the token of a logout": lambda issuer: issuer.keys[0].sign(issuer.claims(), typ="logout+jwt"),
    "an id token that says so": lambda issuer: issuer.keys[0].sign(issuer.claims(), typ="ID+JWT"),
    "a type that is no text": lambda issuer: issuer.keys[0].sign(issuer.claims(), typ="7"),
    "half a character": lambda issuer: issuer.token("\ud800"),
    "half a character in the tenant": lambda issuer: issuer.token(tid="\udfff"),
    "a list for a tenant": lambda issuer: issuer.token(tid=[["x"]]),
    "no token": lambda _: "x",
    "two dots": lambda _: "..",
    "a body that is a list": lambda _: "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSJ9.W10.AAAA",
}


@pytest.mark.parametrize("forgery", _FORGERIES)
async def test_an_invalid_token_is_refused(guarded_api: Api, issuer: Issuer, forgery: str) -> None:
    own = new_id()

    response = await guarded_api.http.post(
        "/sessions", json={"session_id": own}, headers=authorization(_FORGERIES[forgery](issuer))
    )

    refusal(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"
    ok(await guarded_api.http.post("/sessions", json={"session_id": own}, headers=authorization(issuer.token())), 201)


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_every_kind_of_access_token_is_accepted(guarded_api: Api, issuer: Issuer, kind: str) -> None:
    ok(await guarded_api.http.get("/sessions", headers=authorization(issuer.keys[0].sign(issuer.claims(), typ=kind))))


@pytest.mark.parametrize("path", ["/stream", "/projects/{project}/stream", "/sessions/{session}/stream?follow=true"])
async def test_a_stream_ends_with_its_token(guarded_api: Api, issuer: Issuer, path: str) -> None:
    long_lived = authorization(issuer.token())
    project = ok(await guarded_api.http.post("/projects", json={"name": "p"}, headers=long_lived), 201)["id"]
    session = ok(await guarded_api.http.post("/sessions", headers=long_lived), 201)["session_id"]
    short = authorization(issuer.token(exp=int(time.time()) + 1))

    text = (await guarded_api.http.get(path.format(project=project, session=session), headers=short)).text

    assert text.endswith("retry: 500\n\n")
    assert "event: done" not in text


async def test_a_posted_stream_ends_with_its_token(guarded_api: Api, issuer: Issuer) -> None:
    session = ok(await guarded_api.http.post("/sessions", headers=authorization(issuer.token())), 201)["session_id"]
    headers = {"accept": "text/event-stream", **authorization(issuer.token(exp=int(time.time()) + 1))}
    body = {"content": "Hello", "model": "hang-1"}

    text = (await guarded_api.http.post(f"/sessions/{session}/messages", json=body, headers=headers)).text

    assert text.endswith("retry: 500\n\n")
    assert "event: run.complete" not in text


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer    x y", "Basic YTpi", "eyJ"])
async def test_a_request_without_a_token_is_refused(guarded_api: Api, header: str) -> None:
    refusal(await guarded_api.http.get("/sessions", headers={"authorization": header}), 401, "unauthenticated")


async def test_identity_headers_of_the_platform_are_ignored(guarded_api: Api) -> None:
    claims = base64.b64encode(json.dumps({"claims": [{"typ": "oid", "val": "ann"}]}).encode()).decode()

    refusal(await guarded_api.http.get("/sessions", headers={"x-ms-client-principal": claims}), 401, "unauthenticated")


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
    guarded_api: Api, issuer: Issuer, granted: JSON, allowed: set[str]
) -> None:
    session_id = ok(await guarded_api.http.post("/sessions", json={}, headers=authorization(issuer.token())), 201)[
        "session_id"
    ]
    headers = authorization(issuer.token(**granted))

    answers = {
        "get": await guarded_api.http.get(f"/sessions/{session_id}", headers=headers),
        "create": await guarded_api.http.post("/sessions", json={}, headers=headers),
        "append": await guarded_api.http.post(
            f"/sessions/{session_id}/events", json={"event_type": "note"}, headers=headers
        ),
    }
    negotiated = await guarded_api.http.post("/negotiate", json={"session_id": session_id}, headers=headers)

    assert negotiated.status_code == (
        501 if "get" in allowed else 403
    )  # the route needs a scope to read, and SignalR is not set up here
    for name, answer in answers.items():
        if name in allowed:
            assert answer.status_code in {200, 201}, name
        else:
            refusal(answer, 403, "forbidden")
    seen = ok(await guarded_api.http.get(f"/sessions/{session_id}", headers=authorization(issuer.token())))
    assert seen["head"] == (2 if "append" in allowed else 1)


async def test_the_description_declares_the_bearer_token(guarded_api: Api) -> None:
    described = ok(await guarded_api.http.get("/api/openapi.json"))

    assert described["components"]["securitySchemes"].keys() == {"token", "ticket"}
    assert described["security"] == [{"token": []}]
    assert described["paths"]["/health"]["get"]["security"] == []
    assert "security" not in described["paths"]["/sessions"]["get"]


async def test_health_and_readiness_need_no_token(guarded_api: Api) -> None:
    ok(await guarded_api.http.get("/health"))
    ok(await guarded_api.http.get("/ready"))


async def test_while_the_keys_can_not_be_read_every_request_may_be_retried(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        issuer.is_broken = True
        host = stack.enter_context(running_host(tmp_path_factory.mktemp("outage"), issuer.settings))
        async with api_client(host) as api:
            for _ in range(3):
                response = await api.http.get("/sessions", headers=authorization(issuer.token()))
                assert refusal(response, 503, "identity_unavailable")["retryable"]
                assert response.headers["retry-after"]

            assert issuer.requests == 1
