"""The projects in Cosmos DB; see `turnlog.ports.ProjectStore` for what each method promises."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from functools import partial

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosAccessConditionFailedError

from turnlog.domain.budget import Ledger
from turnlog.domain.errors import ProjectExistsError, RevisionTakenError
from turnlog.domain.ids import ProjectId
from turnlog.domain.project import Project
from turnlog.domain.tolerance import load
from turnlog.stores.cosmos import queries
from turnlog.stores.cosmos.database import Database
from turnlog.stores.cosmos.requests import Item, create_item, iterate_items, query_readable, read_item, with_retries
from turnlog.stores.reading import readable

_DUE_PAGE = 50


class CosmosProjectStore:
    """Each project is an item in its own partition, on the database of the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, project: Project) -> None:
        if not await create_item(await self._database.projects(), _item(project)):
            stored = await self._read(project.id)
            if stored is None or stored["changed_by"] != project.changed_by:
                raise ProjectExistsError(project.id)

    async def get(self, project_id: ProjectId) -> Project | None:
        item = await self._read(project_id)
        return None if item is None else _project(item)

    async def replace(self, project: Project) -> None:
        while not await self._replaced(project):
            pass  # it was changed between reading and writing: read again

    async def list(self, owner: str, *, before: str | None, limit: int) -> Sequence[Project]:
        return await self._query(queries.projects(owner, before), limit)

    async def ledger(self, project_id: ProjectId) -> Ledger | None:
        item = await self._read_ledger(project_id)
        return None if item is None else load(Ledger, item["body"])

    async def put_ledger(self, ledger: Ledger) -> None:
        item_id = _ledger_id(ledger.project_id)
        item = {"id": item_id, "version": ledger.version, "body": ledger.model_dump_json()}
        if ledger.version == 1:
            if not await create_item(await self._database.projects(), item):
                raise RevisionTakenError(ledger.project_id)
            return
        stored = await self._read_ledger(ledger.project_id)
        if stored is None or stored["version"] != ledger.version - 1:
            raise RevisionTakenError(ledger.project_id)
        if not await self._replace_item(item, stored["_etag"]):
            raise RevisionTakenError(ledger.project_id)

    async def due_deletions(self, by: datetime) -> AsyncGenerator[Project]:
        container = await self._database.projects()
        async for item in iterate_items(container, queries.due_deletions(by), _DUE_PAGE):
            for project in readable([item["body"]], partial(load, Project), "A stored project"):
                yield project

    async def _replaced(self, project: Project) -> bool:
        """Replace the item, or return False if it was changed after it was read."""
        stored = await self._read(project.id)
        if stored is None or stored["revision"] != project.revision - 1:
            # Our own revision may be there after a lost reply, and others may have followed it.
            if stored is not None and _project(stored).was_changed_by(project.changed_by):
                return True
            raise RevisionTakenError(project.id)

        return await self._replace_item(_item(project), stored["_etag"])

    async def _replace_item(self, item: Item, etag: str) -> bool:
        """Replace an item, or return False if it was changed since it had this etag."""
        container = await self._database.projects()

        async def call() -> bool:
            try:
                await container.replace_item(
                    item["id"],
                    item,
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                    no_response=True,
                )
            except CosmosAccessConditionFailedError:
                return False
            return True

        return await with_retries(call)

    async def _read(self, project_id: ProjectId) -> Item | None:
        return await read_item(await self._database.projects(), project_id, project_id)

    async def _read_ledger(self, project_id: ProjectId) -> Item | None:
        item_id = _ledger_id(project_id)
        return await read_item(await self._database.projects(), item_id, item_id)

    async def _query(self, query: queries.Query, limit: int) -> Sequence[Project]:
        return await query_readable(await self._database.projects(), query, Project, limit, None)


def _ledger_id(project_id: ProjectId) -> str:
    """The id of the ledger's item. It is beside the projects, and has no field by which they are queried."""
    return f"ledger:{project_id}"


def _project(item: Item) -> Project:
    return load(Project, item["body"])


def _item(project: Project) -> Item:
    """A project. `deletion_due` is there only while the sweep has to look at its deletion."""
    return {
        "id": project.id,
        "owner": project.owner,
        "listing_key": project.listing_key,
        "revision": project.revision,
        "changed_by": project.changed_by,
        "deleted": project.deleted,
        **({"deletion_due": project.deletion_due} if project.deletion_due else {}),
        "body": project.model_dump_json(exclude_none=True),
    }
