"""HTTP functions of projects: make, look up, list, change, delete."""

import re
from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.parameters import ETAG, IDEMPOTENCY_KEY, IF_MATCH, LOCATION, REPLAYED, Integer, Text
from shared.api.edge.principal import caller
from shared.api.edge.requests import idempotency_key, parsed, read_body, read_bytes
from shared.api.edge.responses import no_content, ok
from shared.api.shapes.project_bodies import CreateProject, UpdateProject
from shared.api.shapes.project_views import ProjectPage, ProjectView
from shared.api.shapes.views import as_json
from shared.domain.errors import (
    IdempotencyKeyReusedError,
    InvalidDocumentError,
    PreconditionFailedError,
    ProjectExistsError,
    ProjectNotFoundError,
)
from shared.domain.ids import ProjectId
from shared.domain.project import Project
from shared.domain.project_document import document_schema
from shared.wiring import services

bp = df.Blueprint()

_LIMIT = Integer("limit", "how many at most", default=50, least=1, most=200)
_CURSOR = Text("cursor", "the `next_cursor` of the page before")
_SCHEMA_JSON = "application/schema+json"


def project_id_of(req: Request) -> ProjectId:
    return ProjectId(req.path_params["project_id"])


@bp.route("projects", methods=["POST"])
@endpoint
@describes(
    Answer(201, "The project", ProjectView, headers=(ETAG, LOCATION, REPLAYED)),
    takes=CreateProject,
    reads=(IDEMPOTENCY_KEY,),
    refuses=(InvalidDocumentError, IdempotencyKeyReusedError, ProjectExistsError),
)
async def create_project(req: Request) -> Response:
    """Make a project; a retry with the same Idempotency-Key finds the one it made."""
    body = await read_bytes(req)
    wanted, who, key = parsed(CreateProject, body), caller(req), idempotency_key(req, body)

    project, replayed = await services().projects.create(who.owner, wanted.name, wanted.document, key)

    headers = {"location": f"/projects/{project.id}", **({"idempotency-replayed": "true"} if replayed else {})}
    return _answered(project, who.trace_id, 201, headers)


@bp.route("projects", methods=["GET"])
@endpoint
@describes(Answer(200, "A page of projects", ProjectPage), reads=(_LIMIT, _CURSOR))
async def list_projects(req: Request) -> Response:
    """List the caller's projects, newest first."""
    who, limit = caller(req), _LIMIT.of(req.query_params)

    page = await services().projects.list(who.owner, _CURSOR.of(req.query_params), limit)

    views = [ProjectView.of(project) for project in page.projects]
    body: ProjectPage = {"projects": views, "next_cursor": page.next_cursor, "trace_id": who.trace_id}
    return ok(body)


@bp.route("projects/{project_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The project", ProjectView, headers=(ETAG,)), refuses=(ProjectNotFoundError,))
async def get_project(req: Request) -> Response:
    """The project as it is now."""
    who = caller(req)

    project = await services().projects.get(who.owner, project_id_of(req))

    return _answered(project, who.trace_id)


@bp.route("projects/{project_id}", methods=["PATCH"])
@endpoint
@describes(
    Answer(200, "The project, changed", ProjectView, headers=(ETAG,)),
    takes=UpdateProject,
    reads=(IF_MATCH,),
    refuses=(ProjectNotFoundError, InvalidDocumentError, PreconditionFailedError),
)
async def update_project(req: Request) -> Response:
    """Change name or document (RFC 7396); with `If-Match`, only at that revision."""
    who, revisions = caller(req), _revisions(IF_MATCH.of(req.headers))
    patch = (await read_body(req, UpdateProject)).model_dump(exclude_unset=True)

    project = await services().projects.update(who.owner, project_id_of(req), patch, revisions)

    return _answered(project, who.trace_id)


@bp.route("projects/{project_id}", methods=["DELETE"])
@endpoint
@describes(Answer(204, "It is deleted"), refuses=(ProjectNotFoundError,))
async def delete_project(req: Request) -> Response:
    """Delete the project and its sessions; none of them is found from now on."""
    who = caller(req)

    await services().projects.delete(who.owner, project_id_of(req), who.trace_id)

    return no_content()


@bp.route("api/schemas/project-document", methods=["GET"])
@endpoint
@describes(Answer(200, "The schema", dict[str, Any], media_type=_SCHEMA_JSON))
async def get_document_schema(req: Request) -> Response:  # noqa: ARG001  # every handler is given it
    """The JSON Schema (2020-12) of a project's document; besides, every handoff must name one of its nodes."""
    return Response(as_json(document_schema()), 200, None, _SCHEMA_JSON)


def _revisions(if_match: str | None) -> frozenset[int] | None:
    """The revisions that an `If-Match` names; None if any will do. What is no ETag of ours names none."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (re.fullmatch(r'"(\d{1,15})"', tag.strip(), re.ASCII) for tag in if_match.split(","))
    return frozenset(int(tag.group(1)) for tag in tags if tag is not None)


def _answered(project: Project, trace_id: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return ok(ProjectView.of(project, trace_id), status, {"etag": f'"{project.revision}"', **(headers or {})})
