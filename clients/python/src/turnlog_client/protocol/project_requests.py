"""The requests about projects."""

from turnlog_client.options import CreateProject, ListProjects, OpenSession, UpdateProject
from turnlog_client.protocol.requests import Request, post, segment
from turnlog_client.values import Deletion, Project, ProjectPage, SessionInfo, UsageReport


def create_project(name: str, options: CreateProject, idempotency_key: str | None) -> Request[Project]:
    return post("/projects", {"name": name, **options}, idempotency_key)


def list_projects(options: ListProjects) -> Request[ProjectPage]:
    return Request("GET", "/projects", dict(options))


def get_project(project_id: str) -> Request[Project]:
    return Request("GET", _path(project_id))


def update_project(project_id: str, changes: UpdateProject, if_revision: int | None) -> Request[Project]:
    headers = {} if if_revision is None else {"if-match": f'"{if_revision}"'}
    return Request("PATCH", _path(project_id), headers=headers, body=dict(changes))


def delete_project(project_id: str) -> Request[Deletion | None]:
    return Request("DELETE", _path(project_id))


def get_deletion(project_id: str) -> Request[Deletion]:
    return Request("GET", f"{_path(project_id)}/deletion")


def get_project_usage(project_id: str) -> Request[UsageReport]:
    return Request("GET", f"{_path(project_id)}/usage")


def open_session(project_id: str, options: OpenSession, idempotency_key: str | None) -> Request[SessionInfo]:
    return post(f"{_path(project_id)}/sessions", dict(options), idempotency_key)


def _path(project_id: str) -> str:
    return f"/projects/{segment(project_id)}"
