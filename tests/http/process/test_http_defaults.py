"""What a described default says: sending it answers as leaving it out does. So does what clients send by default."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.http.api_client import Api, ok
from turnlog.api.resources import document

pytestmark = pytest.mark.anyio


def _operations_with_defaults() -> Iterator[tuple[str, str]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if any(_defaults(operation).values()):
                yield method.upper(), path


def _defaults(operation: Any) -> dict[str, dict[str, str]]:
    """The values that a generated client or a page sends by itself: by location, then by name."""
    found: dict[str, dict[str, str]] = {"query": {}, "header": {}}
    for each in operation["parameters"]:
        if "default" in each.get("schema", {}):
            default = each["schema"]["default"]
            found[each["in"]][each["name"]] = str(default).lower() if isinstance(default, bool) else str(default)
    return found


def _answer(response: httpx2.Response) -> tuple[int, str, str]:
    """What does not differ from request to request."""
    text = response.text.replace(response.headers["x-trace-id"], "")
    return response.status_code, response.headers.get("content-type", ""), text


@pytest.mark.parametrize(("method", "path"), list(_operations_with_defaults()))
async def test_a_default_that_is_sent_answers_as_one_that_is_left_out(api: Api, method: str, path: str) -> None:
    defaults = _defaults(document()["paths"][path][method.lower()])
    project = ok(await api.http.post("/projects", json={"name": "Defaults"}), 201)["id"]
    session = await api.new_session(project_id=project)
    await api.run_turn(session)
    url = path.format(session_id=session, project_id=project)

    left_out = await api.http.request(method, url)
    alone = [await api.http.request(method, url, params={name: value}) for name, value in defaults["query"].items()]
    alone += [await api.http.request(method, url, headers={name: value}) for name, value in defaults["header"].items()]
    together = await api.http.request(method, url, params=defaults["query"], headers=defaults["header"])

    assert left_out.status_code == 200
    for response in (*alone, together):
        assert _answer(response) == _answer(left_out)


@pytest.mark.parametrize("path", ["/sessions/{id}/events", "/events"])
async def test_an_append_with_no_more_than_the_defaults_is_accepted(api: Api, path: str) -> None:
    session = await api.new_session()
    described = document()["paths"][path.replace("{id}", "{session_id}")]["post"]
    body = {"event_type": "deployment", **({"session_id": session} if path == "/events" else {})}

    response = await api.http.post(path.format(id=session), json=body, headers=_defaults(described)["header"])

    assert ok(response, response.status_code)["sequences"] == [2]
    assert response.is_success
