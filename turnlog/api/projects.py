"""HTTP functions of projects: create, list, read, change, delete."""

import re
from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.parameters import ETAG, IDEMPOTENCY_KEY, IF_MATCH, LOCATION, PAGE_CURSOR, PAGE_LIMIT, REPLAYED
from turnlog.api.edge.principal import caller_of
from turnlog.api.edge.requests import idempotency_key, parse, project_id_of, read_body, read_bytes
from turnlog.api.edge.responses import no_content, ok, replay_header
from turnlog.api.shapes.common import as_json
from turnlog.api.shapes.projects import CreateProject, DeletionView, ProjectPage, ProjectView, UpdateProject
from turnlog.domain.budget import Budget
from turnlog.domain.deletion import Deletion
from turnlog.domain.errors import (
    DeletionNotFoundError,
    IdempotencyKeyReusedError,
    InvalidDocumentError,
    PreconditionFailedError,
    ProjectExistsError,
    ProjectNotFoundError,
)
from turnlog.domain.ids import ProjectId
from turnlog.domain.project import Project
from turnlog.domain.project_document import document_schema
from turnlog.scheduler import DurableDeletionScheduler
from turnlog.wiring import services

bp = df.Blueprint()

_SCHEMA_JSON = "application/schema+json"


@bp.route("projects", methods=["POST"])
@endpoint
@describes(
    Answer(201, "The project", ProjectView, headers=(ETAG, LOCATION, REPLAYED)),
    takes=CreateProject,
    reads=(IDEMPOTENCY_KEY,),
    refuses=(InvalidDocumentError, IdempotencyKeyReusedError, ProjectExistsError),
)
async def create_project(req: Request) -> Response:
    """Create a project. A retry with the same Idempotency-Key returns the project that the first request created."""
    body = await read_bytes(req)
    sent, caller, key = parse(CreateProject, body), caller_of(req), idempotency_key(req, body)

    budget = None if sent.budget is None else Budget(total_tokens=sent.budget.total_tokens)
    accepted = services().webhooks.accept([webhook.wanted for webhook in sent.webhooks])
    create = services().projects.create
    project, replayed = await create(caller.owner, sent.name, sent.document, key, budget=budget, webhooks=accepted)

    headers = {"location": f"/projects/{project.id}"} | replay_header(replayed=replayed)
    return _answer(project, ProjectView.of(project, caller.trace_id, accepted), 201, headers)


@bp.route("projects", methods=["GET"])
@endpoint
@describes(Answer(200, "A page of projects", ProjectPage), reads=(PAGE_LIMIT, PAGE_CURSOR))
async def list_projects(req: Request) -> Response:
    """List your projects, newest first."""
    query, caller = req.query_params, caller_of(req)

    page = await services().projects.list(caller.owner, PAGE_CURSOR.read(query), PAGE_LIMIT.read(query))

    views = [ProjectView.of(project) for project in page.projects]
    body: ProjectPage = {"projects": views, "next_cursor": page.next_cursor, "trace_id": caller.trace_id}
    return ok(body)


@bp.route("projects/{project_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The project", ProjectView, headers=(ETAG,)), refuses=(ProjectNotFoundError,))
async def get_project(req: Request) -> Response:
    """Read the project as it is now."""
    caller = caller_of(req)

    project = await services().projects.get(caller.owner, project_id_of(req))

    return _answer(project, ProjectView.of(project, caller.trace_id))


@bp.route("projects/{project_id}", methods=["PATCH"])
@endpoint
@describes(
    Answer(200, "The project after the change", ProjectView, headers=(ETAG,)),
    takes=UpdateProject,
    reads=(IF_MATCH,),
    refuses=(ProjectNotFoundError, InvalidDocumentError, PreconditionFailedError),
)
async def update_project(req: Request) -> Response:
    """Change name, document, budget or webhooks (RFC 7396); with `If-Match`, only if nobody else has changed it."""
    caller, revisions = caller_of(req), _revisions(IF_MATCH.read(req.headers))
    sent = await read_body(req, UpdateProject)
    accepted = services().webhooks.accept([webhook.wanted for webhook in sent.webhooks or ()])
    patch = sent.model_dump(exclude_unset=True)
    patch |= {"webhooks": accepted} if "webhooks" in patch else {}

    project = await services().projects.update(caller.owner, project_id_of(req), patch, revisions)

    return _answer(project, ProjectView.of(project, caller.trace_id, accepted))


@bp.route("projects/{project_id}", methods=["DELETE"])
@bp.durable_client_input(client_name="client")
@endpoint
@describes(
    Answer(204, "The project and its sessions are deleted"),
    Answer(202, "The project is deleted, and its sessions are being deleted", DeletionView, headers=(LOCATION,)),
    refuses=(ProjectNotFoundError,),
)
async def delete_project(req: Request, client: df.DurableOrchestrationClient) -> Response:
    """Delete the project and its sessions. From now on the project is not found, and takes no new sessions.

    The first 100 sessions are deleted at once. If there are more, they are deleted in the background; read how far that
    is at `/projects/{project_id}/deletion`.
    """
    caller, project_id = caller_of(req), project_id_of(req)

    request = services().deletions.request
    deletion = await request(caller.owner, project_id, caller.trace_id, DurableDeletionScheduler(client))

    return _deletion_answer(project_id, deletion, caller.trace_id)


@bp.route("projects/{project_id}/deletion", methods=["GET"])
@endpoint
@describes(Answer(200, "The deletion", DeletionView), refuses=(DeletionNotFoundError,))
async def get_project_deletion(req: Request) -> Response:
    """Read how far the deletion of a project is."""
    caller, project_id = caller_of(req), project_id_of(req)

    deletion = await services().deletions.progress(caller.owner, project_id)

    return ok(DeletionView.of(project_id, deletion, caller.trace_id))


@bp.route("api/schemas/project-document", methods=["GET"])
@endpoint
@describes(Answer(200, "The schema", dict[str, Any], media_type=_SCHEMA_JSON))
async def get_document_schema(req: Request) -> Response:  # noqa: ARG001  # every handler gets the request
    """Read the JSON Schema (2020-12) of a project's document. In addition, every handoff must name one of its nodes."""
    return Response(as_json(document_schema()), 200, None, _SCHEMA_JSON)


def _revisions(if_match: str | None) -> frozenset[int] | None:
    """The revisions that an `If-Match` allows; None allows any. A tag that is not an ETag of a project allows none."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (re.fullmatch(r'"(\d{1,15})"', tag.strip(), re.ASCII) for tag in if_match.split(","))
    return frozenset(int(tag.group(1)) for tag in tags if tag is not None)


def _deletion_answer(project_id: ProjectId, deletion: Deletion, trace_id: str) -> Response:
    if deletion.ended_at is not None:
        return no_content()
    location = {"location": f"/projects/{project_id}/deletion"}
    return ok(DeletionView.of(project_id, deletion, trace_id), 202, location)


def _answer(project: Project, view: ProjectView, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return ok(view, status, {"etag": f'"{project.revision}"', **(headers or {})})
