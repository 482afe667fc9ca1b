"""How servers answer a request for the list of their models, by name. `READY` are those of servers that work."""

from tests.model_servers.answers import Body, html
from tests.model_servers.objects import error
from tests.model_servers.server import Answer

READY: dict[str, Answer] = {
    "openai": Body(200, {"object": "list", "data": [{"id": "m", "object": "model"}]}),
    "together": Body(200, [{"id": "m"}]),
    "ollama": Body(200, {"object": "list", "data": None}),
    "empty": Body(200, {}),
    "text": Body(200, "ok", content_type="text/plain"),
    "page": html(200, "<html>Models</html>"),
    "not-json": Body(200, "ok"),
    "none": Body(404, {"detail": "Not Found"}),
    "not-allowed": Body(405, ""),
    "not-implemented": Body(501, error("no such thing")),
}

NOT_READY: dict[str, Answer] = {
    "key": Body(401, error("Incorrect API key provided: sk-12**cd")),
    "down": html(503, "<html>Service Unavailable</html>"),
}
