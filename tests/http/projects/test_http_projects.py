"""Projects: create, read, list, change, delete; the document and its schema; ownership."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.http.api_client import JSON, Api, Host, api_client, new_id, ok, refusal, running_host, wait_until

pytestmark = pytest.mark.anyio

FIELDS = {
    "id",
    "name",
    "document",
    "revision",
    "document_schema",
    "budget",
    "webhooks",
    "created_at",
    "updated_at",
    "trace_id",
}
DELETION_FIELDS = {"project_id", "status", "deleted", "listed", "requested_at", "ended_at", "trace_id"}
LARGE = 230
DOCUMENT: JSON = {
    "nodes": {
        "front": {
            "name": "Front desk",
            "instructions": "Greet.",
            "model": "gpt",
            "tools": [],
            "handoffs": ["back-1.2"],
        },
        "back-1.2": {"tools": ["calculate"], "handoffs": ["front"]},
        "bare": {},
    }
}
INVALID: list[tuple[Any, str]] = [
    ({}, "/nodes"),
    ({"nodes": []}, "/nodes"),
    ({"nodes": {}, "edges": {}}, "/edges"),
    ({"nodes": {"a b": {}}}, "/nodes/a b"),
    ({"nodes": {"a/b~": {}}}, "/nodes/a~1b~0"),
    ({"nodes": {"a\n": {}}}, "/nodes/a\n"),
    ({"nodes": {"": {}}}, "/nodes/"),
    ({"nodes": {"x" * 129: {}}}, f"/nodes/{'x' * 129}"),
    ({"nodes": {"a": None}}, "/nodes/a"),
    ({"nodes": {"a": {"colour": "red"}}}, "/nodes/a/colour"),
    ({"nodes": {"a": {"name": 7}}}, "/nodes/a/name"),
    ({"nodes": {"a": {"name": "x" * 257}}}, "/nodes/a/name"),
    ({"nodes": {"a": {"instructions": "x" * (64 * 1024 + 1)}}}, "/nodes/a/instructions"),
    ({"nodes": {"a": {"tools": "calculate"}}}, "/nodes/a/tools"),
    ({"nodes": {"a": {"tools": [1]}}}, "/nodes/a/tools/0"),
    ({"nodes": {"a": {"handoffs": ["a", "nobody"]}}}, "/nodes/a/handoffs/1"),
    ({"nodes": {f"n{i}": {} for i in range(257)}}, "/nodes"),
    ({"nodes": {f"n{i}": {"instructions": "é" * 30_000} for i in range(5)}}, ""),
]


async def _new_project(api: Api, **fields: Any) -> JSON:
    return ok(await api.http.post("/projects", json={"name": "Stories", **fields}), 201)


async def _fill(api: Api, project_id: str) -> None:
    """Open so many sessions in the project that one request does not delete them all."""
    for answer in await asyncio.gather(
        *(api.http.post("/sessions", json={"project_id": project_id}) for _ in range(LARGE))
    ):
        ok(answer, 201)


async def test_a_new_project_has_no_nodes_and_the_first_revision(api: Api) -> None:
    response = await api.http.post("/projects", json={"name": "Geschichten für alle"})

    project = ok(response, 201)
    assert project.keys() == FIELDS
    assert (project["name"], project["document"], project["revision"]) == ("Geschichten für alle", {"nodes": {}}, 1)
    assert response.headers["location"] == f"/projects/{project['id']}"
    assert response.headers["etag"] == '"1"'
    found = await api.http.get(f"/projects/{project['id']}")
    assert ok(found) | {"trace_id": ""} == project | {"trace_id": ""}
    assert found.headers["etag"] == '"1"'


async def test_a_document_is_stored_as_it_was_sent(api: Api) -> None:
    project = await _new_project(api, document=DOCUMENT)

    assert ok(await api.http.get(f"/projects/{project['id']}"))["document"] == DOCUMENT


@pytest.mark.parametrize(("document", "pointer"), INVALID, ids=range(len(INVALID)))
async def test_an_invalid_document_is_refused_with_a_pointer_to_the_error(
    api: Api, document: Any, pointer: str
) -> None:
    project = await _new_project(api, document={"nodes": {}})

    problem = refusal(
        await api.http.post("/projects", json={"name": "x", "document": document}), 422, "invalid_document"
    )

    assert f"/document{pointer}" in [error["pointer"] for error in problem["errors"]]
    assert ok(await api.http.get(f"/projects/{project['id']}"))["revision"] == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": None}, {"name": 1}, {"name": "x" * 257}, {"name": "x", "id": "own"},
     {"name": "x", "document": []}, {"name": "x", "document": "{}"}],
)  # fmt: skip
async def test_an_invalid_body_is_refused(api: Api, body: JSON) -> None:
    refusal(await api.http.post("/projects", json=body), 422, "invalid_request")


async def test_a_retry_returns_the_project_of_the_first_request(api: Api) -> None:
    headers = {"idempotency-key": new_id()}
    bodies = [{"name": "Once"}] * 8

    created = await asyncio.gather(*(api.http.post("/projects", json=body, headers=headers) for body in bodies))

    assert len({ok(response, 201)["id"] for response in created}) == 1
    assert sum("idempotency-replayed" not in response.headers for response in created) == 1
    other = await api.http.post("/projects", json={"name": "Twice"}, headers=headers)
    refusal(other, 422, "idempotency_key_reused")
    assert (await api.http.delete(created[0].headers["location"])).status_code == 204
    refusal(await api.http.post("/projects", json={"name": "Once"}, headers=headers), 409, "project_exists")


async def test_projects_are_listed_newest_first_page_by_page(api: Api) -> None:
    created = [(await _new_project(api, name=f"{number}"))["id"] for number in range(5)]

    listed: list[str] = []
    cursor = ""
    while len(listed) < 5:
        page = ok(await api.http.get(f"/projects?limit=2{cursor}"))
        listed += [project["id"] for project in page["projects"]]
        cursor = f"&cursor={page['next_cursor']}"

    assert listed[:5] == created[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=%C3%A9", "cursor=abc"])
async def test_an_invalid_list_query_is_refused(api: Api, query: str) -> None:
    refusal(await api.http.get(f"/projects?{query}"), 422, "invalid_request")


async def test_a_patch_merges_and_counts_a_revision_only_for_a_change(api: Api) -> None:
    project = await _new_project(api, document=DOCUMENT)
    path = f"/projects/{project['id']}"
    patch = {"name": "New", "document": {"nodes": {"bare": None, "front": {"model": None}, "fresh": {"name": "F"}}}}

    response = await api.http.patch(path, json=patch)

    changed = ok(response)
    front = {name: value for name, value in DOCUMENT["nodes"]["front"].items() if name != "model"}
    nodes = {"front": front, "back-1.2": DOCUMENT["nodes"]["back-1.2"], "fresh": {"name": "F"}}
    assert (changed["name"], changed["document"], changed["revision"]) == ("New", {"nodes": nodes}, 2)
    assert response.headers["etag"] == '"2"'
    assert ok(await api.http.patch(path, json=patch))["revision"] == 2
    assert ok(await api.http.patch(path, json={}))["revision"] == 2
    assert ok(await api.http.patch(path, json={"document": None}))["document"] == {"nodes": {}}


async def test_a_patch_that_would_make_the_document_invalid_changes_nothing(api: Api) -> None:
    project = await _new_project(api, document=DOCUMENT)
    path = f"/projects/{project['id']}"

    patches: list[JSON] = [{"nodes": {"back-1.2": None}}, {"nodes": None}, {"nodes": {"x y": {}}}, {"more": 1}]
    for patch in patches:
        refusal(await api.http.patch(path, json={"name": "New", "document": patch}), 422, "invalid_document")
    for body in ({"name": None}, {"name": ""}, {"revision": 3}, {"document": 3}):
        refusal(await api.http.patch(path, json=body), 422, "invalid_request")

    assert ok(await api.http.get(path)) | {"trace_id": ""} == project | {"trace_id": ""}


async def test_the_second_of_two_patches_for_one_revision_is_refused(api: Api) -> None:
    path = f"/projects/{(await _new_project(api))['id']}"

    answers = await asyncio.gather(
        *(api.http.patch(path, json={"name": f"{number}"}, headers={"if-match": '"1"'}) for number in range(2))
    )

    late, won = sorted(answers, key=lambda answer: answer.status_code, reverse=True)
    refusal(late, 412, "precondition_failed")
    project = ok(await api.http.get(path))
    assert (project["name"], project["revision"]) == (ok(won)["name"], 2)


@pytest.mark.parametrize(
    ("tag", "status"), [('"1"', 200), ('"7", "1"', 200), ("*", 200), ('"2"', 412), ('W/"1"', 412), ("1", 412)]
)
async def test_if_match_allows_only_the_named_revisions(api: Api, tag: str, status: int) -> None:
    path = f"/projects/{(await _new_project(api))['id']}"

    assert (await api.http.patch(path, json={"name": "New"}, headers={"if-match": tag})).status_code == status


async def test_a_repeated_change_with_its_old_revision_succeeds(api: Api) -> None:
    path, body = (
        f"/projects/{(await _new_project(api))['id']}",
        {"name": "New", "document": {"nodes": {"n": {"name": "N"}}}},
    )
    first = await api.http.patch(path, json=body, headers={"if-match": '"1"'})

    again = await api.http.patch(path, json=body, headers={"if-match": '"1"'})

    assert ok(again) | {"trace_id": ""} == ok(first) | {"trace_id": ""}
    assert (again.json()["revision"], again.headers["etag"]) == (2, '"2"')
    refusal(await api.http.patch(path, json={"name": "Other"}, headers={"if-match": '"1"'}), 412, "precondition_failed")


async def test_simultaneous_patches_are_all_in_the_document(api: Api) -> None:
    path = f"/projects/{(await _new_project(api))['id']}"

    await asyncio.gather(
        *(api.http.patch(path, json={"document": {"nodes": {f"n{number}": {}}}}) for number in range(10))
    )

    project = ok(await api.http.get(path))
    assert project["document"]["nodes"].keys() == {f"n{number}" for number in range(10)}
    assert project["revision"] == 11


async def test_a_deleted_project_and_its_sessions_are_not_found(api: Api) -> None:
    path = f"/projects/{(await _new_project(api))['id']}"
    sessions = [ok(await api.http.post(f"{path}/sessions", json={"node_id": f"n{i}"}), 201) for i in range(3)]
    running = sessions[0]["session_id"]
    await api.start_turn(running, "Count", agent="assistant", model="fake-5-200")

    assert (await api.http.delete(path)).status_code == 204

    for method, below in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/sessions"), ("GET", "/usage"),
                          ("POST", "/sessions")):  # fmt: skip
        refusal(await api.http.request(method, path + below), 404, "project_not_found")
    for session in sessions:
        refusal(await api.http.get(f"/sessions/{session['session_id']}"), 404, "session_not_found")
    listed = ok(await api.http.get("/projects?limit=200"))["projects"]
    assert path.rpartition("/")[2] not in [project["id"] for project in listed]


async def test_the_deletion_of_a_small_project_has_ended_with_its_request(api: Api) -> None:
    project = await _new_project(api)
    path = f"/projects/{project['id']}"
    ok(await api.http.post(f"{path}/sessions"), 201)
    refusal(await api.http.get(f"{path}/deletion"), 404, "deletion_not_found")

    assert (await api.http.delete(path)).status_code == 204

    deletion = ok(await api.http.get(f"{path}/deletion"))
    assert deletion.keys() == DELETION_FIELDS
    assert (deletion["project_id"], deletion["status"]) == (project["id"], "deleted")
    assert (deletion["deleted"], deletion["listed"]) == (1, 1)
    assert deletion["requested_at"] <= deletion["ended_at"]


async def test_a_large_project_is_not_found_at_once_and_its_sessions_are_deleted_in_the_background(api: Api) -> None:
    project_id = (await _new_project(api))["id"]
    path, in_project = f"/projects/{project_id}", {"project_id": project_id}
    await _fill(api, project_id)

    answer = await api.http.delete(path)

    begun = ok(answer, 202)
    assert answer.headers["location"] == f"{path}/deletion"
    assert begun.keys() == DELETION_FIELDS
    assert (begun["status"], begun["deleted"], begun["listed"], begun["ended_at"]) == ("deleting", 100, 200, None)
    refusal(await api.http.get(path), 404, "project_not_found")
    refusal(await api.http.post(f"{path}/sessions"), 404, "project_not_found")
    refusal(await api.http.post("/sessions", json=in_project), 404, "project_not_found")
    start = {"event_type": "session_start", "session_id": new_id(), **in_project}
    refusal(await api.http.post("/events", json=start), 404, "project_not_found")
    ended = await wait_until(lambda: api.http.get(f"{path}/deletion"), lambda answer: answer.json()["ended_at"])
    assert (ended.json()["status"], ended.json()["deleted"], ended.json()["listed"]) == ("deleted", LARGE, LARGE)
    assert ok(await api.http.get(f"/sessions?project_id={project_id}"))["sessions"] == []
    refusal(await api.http.delete(path), 404, "project_not_found")


async def test_a_second_request_to_delete_a_large_project_joins_the_first(api: Api) -> None:
    project_id = (await _new_project(api))["id"]
    path = f"/projects/{project_id}"
    await _fill(api, project_id)

    answers = await asyncio.gather(*(api.http.delete(path) for _ in range(3)))

    begun = [answer.json()["requested_at"] for answer in answers if answer.status_code == 202]
    assert begun
    assert len(set(begun)) == 1
    assert {answer.status_code for answer in answers} <= {202, 404}  # 404 if the deletion ended before a request
    ended = await wait_until(lambda: api.http.get(f"{path}/deletion"), lambda answer: answer.json()["ended_at"])
    assert ended.json()["deleted"] == LARGE


async def test_the_published_schema_accepts_what_the_service_accepts(api: Api) -> None:
    response = await api.http.get((await _new_project(api))["document_schema"])

    schema = response.json()
    assert response.headers["content-type"] == "application/schema+json"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid(DOCUMENT)
    assert validator.is_valid({"nodes": {}})
    validity = [validator.is_valid(document) for document, _ in INVALID]
    unchecked = {
        len(INVALID) - 1,
        len(INVALID) - 3,
        5,
    }  # a schema can't check the whole size, handoffs to missing nodes, or a line end before `$`
    assert not any(valid for number, valid in enumerate(validity) if number not in unchecked)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Generator[Host]:
    """A host whose callers are identified by the platform."""
    settings = {"AUTH_MODE": "easyauth", "WEBSITE_AUTH_ENABLED": "True"}
    with running_host(tmp_path_factory.mktemp("guarded"), settings) as host:
        yield host


@pytest.fixture
async def guarded_api(guarded: Host) -> AsyncGenerator[Api]:
    async with api_client(guarded) as api:
        yield api


def _as(subject: str) -> dict[str, str]:
    claims = {"claims": [{"typ": "iss", "val": "https://issuer"}, {"typ": "sub", "val": subject}]}
    return {"x-ms-client-principal": base64.b64encode(json.dumps(claims).encode()).decode()}


async def test_a_project_of_another_owner_is_not_found(guarded_api: Api) -> None:
    ann, bob = _as("ann"), _as("bob")
    project = ok(await guarded_api.http.post("/projects", json={"name": "Ann's"}, headers=ann), 201)
    path = f"/projects/{project['id']}"
    session = ok(await guarded_api.http.post(f"{path}/sessions", headers=ann), 201)["session_id"]

    for method, below in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/sessions"), ("POST", "/sessions"),
                          ("GET", "/usage")):  # fmt: skip
        refusal(await guarded_api.http.request(method, path + below, headers=bob), 404, "project_not_found")
    refusal(await guarded_api.http.get(f"/sessions/{session}/usage", headers=bob), 404, "session_not_found")
    refusal(await guarded_api.http.get(path), 401, "unauthenticated")
    assert ok(await guarded_api.http.get("/projects", headers=bob))["projects"] == []
    assert ok(await guarded_api.http.get(path, headers=ann))["revision"] == 1


async def test_a_project_does_not_contain_another_owners_session_that_names_it(guarded_api: Api) -> None:
    ann, bob = _as("ann"), _as("bob")
    path = f"/projects/{ok(await guarded_api.http.post('/projects', json={'name': 'x'}, headers=ann), 201)['id']}"
    first = ok(await guarded_api.http.post(f"{path}/sessions", headers=ann), 201)["session_id"]
    other = f"/projects/{ok(await guarded_api.http.post('/projects', json={'name': 'y'}, headers=ann), 201)['id']}"
    second = ok(await guarded_api.http.post(f"{other}/sessions", headers=ann), 201)["session_id"]
    stray = ok(await guarded_api.http.post("/sessions", json={"project_id": path.rpartition("/")[2]}, headers=bob), 201)

    listed = ok(await guarded_api.http.get(f"{path}/sessions", headers=ann))["sessions"]

    assert first != second
    assert [session["session_id"] for session in listed] == [first]
    assert (await guarded_api.http.delete(path, headers=ann)).status_code == 204
    assert ok(await guarded_api.http.get(f"/sessions/{stray['session_id']}", headers=bob))["status"] == "running"
    assert ok(await guarded_api.http.post(f"{other}/sessions", headers=ann))["session_id"] == second


async def test_projects_survive_a_crash_of_the_host(tmp_path: Path) -> None:
    with running_host(tmp_path) as host:
        async with api_client(host) as api:
            project = await _new_project(api, document=DOCUMENT)
        host.kill()
    with running_host(tmp_path) as host:
        async with api_client(host) as api:
            found = await wait_until(lambda: api.http.get(f"/projects/{project['id']}"))
    assert ok(found) | {"trace_id": ""} == project | {"trace_id": ""}
