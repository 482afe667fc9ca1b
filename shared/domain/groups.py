"""The groups of watchers that a fan-out service tells: one for a session, one for a project."""

from shared.domain.ids import ProjectId, SessionId


def session_group(session_id: SessionId) -> str:
    return f"session:{session_id}"


def project_group(project_id: ProjectId) -> str:
    return f"project:{project_id}"
