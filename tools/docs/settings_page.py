"""The page docs/run/settings.md: every setting of the app, from the code."""

from pydantic.fields import FieldInfo

from turnlog.domain.prices import Prices
from turnlog.settings import Settings

_HEAD = """# Settings

Generated from `turnlog/settings.py` by `make docs`; do not edit.

Settings are environment variables. On one machine they can also be `Values` in `local.settings.json`, a copy of
`local.settings.example.json`, which lists all of them. The environment overrides the file. An empty variable counts as
not set. If a value is wrong or missing, the app does not start, and names the variable.

| variable | default | |
| --- | --- | --- |
"""
_FOOT = """| `PORT`, `HOST` | 7071, 127.0.0.1 | where `make run` listens; port 0 takes a free one |
| `HOST_MODE` | what is installed | what `make run` starts: `func` or `local` |
| `LOG_LEVEL` | INFO | the lowest level that the local host logs, for example WARNING |

The example has more keys. They belong to the Functions host and its worker, and are the same everywhere:
`FUNCTIONS_WORKER_RUNTIME`, `AzureWebJobsStorage`, `AzureWebJobsDisableHomepage`, `PYTHON_ENABLE_INIT_INDEXING`,
`PYTHONDONTWRITEBYTECODE`, `AZURE_FUNCTIONS_DURABLE_STRICT_TYPING`. Only Core Tools read the section `Host`: the port
and the CORS origins of a plain `func start`.

Without `OPENAI_BASE_URL` and `OPENAI_API_KEY` there is no model to call. Turns fail with `model_not_configured`, and
`/ready` answers 503. `make run` starts a scripted model then.

In Azure (`WEBSITE_INSTANCE_ID` is present) the app does not start without `COSMOS_ENDPOINT`, `OPENAI_BASE_URL` and
`TICKET_KEY` (a deployment makes one), nor with `AUTH_MODE=none`.
"""


def settings_page() -> str:
    return _HEAD + "".join(map(_row, Settings.model_fields.items())) + _FOOT


def _row(field: tuple[str, FieldInfo]) -> str:
    name, info = field
    default = "" if info.default in (None, (), {}, Prices()) else str(info.default)
    return f"| `{name.upper()}` | {default} | {info.description} |\n"
