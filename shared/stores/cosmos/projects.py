"""The projects in Cosmos DB; see `shared.ports.ProjectStore` for what each method promises."""

from collections.abc import Sequence
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from shared.domain.errors import ProjectExistsError, RevisionTakenError
from shared.domain.ids import ProjectId
from shared.domain.project import Project
from shared.stores.cosmos.calls import with_retries
from shared.stores.cosmos.database import Database

Item = dict[str, Any]

# One owner's projects stand in the composite index in their order; to be served from it, both are named.
_LISTED = (
    "SELECT c.body FROM c WHERE c.owner = @owner AND c.deleted = false AND c.listing_key < @before"
    " ORDER BY c.owner DESC, c.listing_key DESC"
)
_CLOSING = "SELECT c.body FROM c WHERE c.closing > 0 ORDER BY c.closing"
_END = "~"  # after every moment


class CosmosProjectStore:
    """Each project an item in a partition of its own, on the log's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, project: Project) -> None:
        container = await self._database.projects()

        async def call() -> None:
            try:
                await container.create_item(_item(project), no_response=True)
            except CosmosResourceExistsError as error:
                # Our own if the reply to an earlier call was lost.
                there = await self._there(project.id)
                if there is None or there["changed_by"] != project.changed_by:
                    raise ProjectExistsError(project.id) from error

        await with_retries(call)

    async def get(self, project_id: ProjectId) -> Project | None:
        item = await with_retries(lambda: self._there(project_id))
        return None if item is None else Project.model_validate_json(item["body"])

    async def replace(self, project: Project) -> None:
        while not await with_retries(lambda: self._replaced(project)):
            pass  # changed between reading and writing: what stands there now decides

    async def list(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        return await self._found(_LISTED, limit, owner=owner, before=before or _END)

    async def deleted_with_sessions(self, limit: int) -> Sequence[Project]:
        return await self._found(_CLOSING, limit)

    async def _replaced(self, project: Project) -> bool:
        """Whether `project` stands there; False if the item was changed in between."""
        container, there = await self._database.projects(), await self._there(project.id)
        if there is None or there["revision"] != project.revision - 1:
            # Our own if the reply to an earlier call was lost, whoever has changed it since.
            if there is not None and Project.model_validate_json(there["body"]).was_changed_by(project.changed_by):
                return True
            raise RevisionTakenError(project.id)
        try:
            await container.replace_item(
                project.id,
                _item(project),
                etag=there["_etag"],
                match_condition=MatchConditions.IfNotModified,
                no_response=True,
            )
        except CosmosAccessConditionFailedError:
            return False
        return True

    async def _there(self, project_id: ProjectId) -> Item | None:
        container = await self._database.projects()
        try:
            return await container.read_item(project_id, project_id)
        except CosmosResourceNotFoundError:
            return None

    async def _found(self, query: str, limit: int, **values: Any) -> Sequence[Project]:
        container = await self._database.projects()
        parameters: list[dict[str, Any]] = [{"name": f"@{name}", "value": value} for name, value in values.items()]

        async def call() -> list[Project]:
            found: list[Project] = []
            async for item in container.query_items(query, parameters=parameters, max_item_count=limit):
                found.append(Project.model_validate_json(item["body"]))
                if len(found) == limit:
                    break
            return found

        return await with_retries(call)


def _item(project: Project) -> Item:
    """A project. `closing` is there only as long as the sweep has to look at it, and is what that orders by."""
    is_closing = project.deleted and not project.emptied
    return {
        "id": project.id,
        "owner": project.owner,
        "listing_key": project.listing_key,
        "revision": project.revision,
        "changed_by": project.changed_by,
        "deleted": project.deleted,
        **({"closing": project.updated_at.timestamp()} if is_closing else {}),
        "body": project.model_dump_json(exclude_none=True),
    }
