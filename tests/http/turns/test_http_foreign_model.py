"""The VibeCoder with a model server that shares no code with the scripted one."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.foreign_model.server import foreign_model
from tests.http.api_client import JSON, Api, Host, api_client, running_host
from tests.http.projects.test_http_vibecoder import NODES, coding_session, new_project, project_of, responses_of, words

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def foreign_host(tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]) -> Generator[Host]:
    data_dir: Path = tmp_path_factory.mktemp("foreign")
    with foreign_model() as url:
        model = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k", "MODEL": "elsewhere-1"}
        with running_host(data_dir, {**model, **store_environment}) as host:
            yield Host(host.url, url, host.process)


@pytest.mark.parametrize("node_id", [None, "first", "fresh"])
async def test_patches_of_another_model_server_change_the_document(foreign_host: Host, node_id: str | None) -> None:
    async with api_client(foreign_host) as api:
        project_id = await new_project(api)
        session_id = await coding_session(api, project_id, node_id)
        for number in range(1, 7):
            content = words(number)
            message = await api.run_turn(session_id, content)

            assert (message["status"], message["answer"]) == ("completed", "Fertig: das Dokument steht.")
            assert message["usage"] == await _usage(api, session_id)
            project = await project_of(api, project_id)
            nodes: JSON = project["document"]["nodes"]
            assert nodes.pop(node_id or "clone")["instructions"] == content
            assert nodes == {name: node for name, node in NODES.items() if name != node_id}
            assert project["revision"] == number + 1
            data = (await responses_of(api, session_id))[-1]
            assert (data["patch"], data["project_revision"]) == (message["patch"], number + 1)


async def _usage(api: Api, session_id: str) -> dict[str, int]:
    """The usage of the newest turn: each call uses 11 and 7 tokens. It makes two, or three after a refusal."""
    events = await api.events(session_id)
    *_, start = (index for index, event in enumerate(events) if event["type"] == "run.start")
    calls = sum(event["type"] == "token_usage" for event in events[start:])
    assert calls in {2, 3}
    return {"prompt_tokens": 11 * calls, "completion_tokens": 7 * calls, "total_tokens": 18 * calls}
