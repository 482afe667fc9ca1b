"""The orchestrator that deletes the sessions of a project, run by the SDK's own executor on the local engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.local.local_host import App, running_host
from turnlog.domain.ids import ProjectId
from turnlog.orchestrations.contracts import DeletionReply
from turnlog.orchestrations.run_deletion import MAX_PAGES, run_deletion
from turnlog.scheduler import DeletionStart
from turnlog.services.projects.deletions import PageOutcome

pytestmark = pytest.mark.anyio

START = DeletionStart(project_id=ProjectId("prj_1"), generation=3).dump()


class Pages:
    """The activity. It replies `outcomes`, then `more`; None raises. `works` is what it was given."""

    def __init__(self, outcomes: Sequence[PageOutcome | None]) -> None:
        self.outcomes = list(outcomes)
        self.works: list[dict[str, Any]] = []

    async def run(self, folder: Path) -> str:
        """Run an instance to its end; its outcome."""
        app: Any = App()
        app.function_name("main")(app.orchestration_trigger(context_name="context")(run_deletion))

        async def delete_sessions(work: Any) -> dict[str, Any]:
            self.works.append(work)
            outcome = self.outcomes.pop(0) if self.outcomes else "more"
            if outcome is None:
                raise RuntimeError("the process was killed")
            return DeletionReply(outcome=outcome).dump()

        app.activity_trigger(input_name="work")(delete_sessions)
        async with running_host(app, folder) as host:
            status = await host.run("main", START)
        assert status.runtime_status.name == "Completed"
        return status.output["outcome"]


@pytest.mark.parametrize("outcome", ["done", "failed", "superseded"])
async def test_an_instance_deletes_pages_until_there_is_nothing_more_for_it_to_do(
    tmp_path: Path, outcome: PageOutcome
) -> None:
    pages = Pages(["more", "more", outcome])

    assert await pages.run(tmp_path) == outcome

    assert pages.works == [{"project_id": "prj_1", "generation": 3, "is_last": False}] * 3


async def test_the_history_of_an_instance_is_bounded_and_its_last_page_says_so(tmp_path: Path) -> None:
    pages = Pages([])

    assert await pages.run(tmp_path) == "more"

    assert [work["is_last"] for work in pages.works] == [False] * (MAX_PAGES - 1) + [True]


async def test_an_instance_whose_page_is_interrupted_ends_and_leaves_the_rest_to_the_sweep(tmp_path: Path) -> None:
    pages = Pages(["more", None])

    assert await pages.run(tmp_path) == "unavailable"

    assert len(pages.works) == 2
