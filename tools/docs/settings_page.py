"""The page docs/run/settings.md: every setting of the app, from the code."""

from pydantic.fields import FieldInfo

from shared.settings import Settings

_HEAD = """# Settings

Generated from `shared/settings.py` by `make docs`; do not edit.

Environment variables; on one machine also `Values` in `local.settings.json` (copy `local.settings.example.json`), which
the environment overrides. The example lists all of these. An empty one counts as not set. A wrong or missing one stops
the start, naming the variable.

| variable | default | |
| --- | --- | --- |
"""
_FOOT = """| `PORT`, `HOST` | 7071, 127.0.0.1 | where `make run` listens; port 0 takes a free one |
| `HOST_MODE` | what is installed | what `make run` starts: `func` or `local` |
| `LOG_LEVEL` | INFO | least level of what the local host logs, such as WARNING |

The example's further keys are no settings of the app but of the Functions host and its worker, the same everywhere:
`FUNCTIONS_WORKER_RUNTIME`, `AzureWebJobsStorage`, `AzureWebJobsDisableHomepage`, `PYTHON_ENABLE_INIT_INDEXING`,
`PYTHONDONTWRITEBYTECODE`, `AZURE_FUNCTIONS_DURABLE_STRICT_TYPING`. `Host` is read by Core Tools alone: port and CORS
origins of a plain `func start`.

Without `OPENAI_BASE_URL` and `OPENAI_API_KEY` there is no model to call: turns fail with `model_not_configured`, and
`/ready` says so. `make run` starts a scripted model then.

In Azure (`WEBSITE_INSTANCE_ID` is present) the app refuses to start without `COSMOS_ENDPOINT` and `OPENAI_BASE_URL`,
and with `AUTH_MODE=none`.
"""


def settings_page() -> str:
    return _HEAD + "".join(map(_row, Settings.model_fields.items())) + _FOOT


def _row(field: tuple[str, FieldInfo]) -> str:
    name, info = field
    default = "" if info.default in {None, ()} else str(info.default)
    return f"| `{name.upper()}` | {default} | {info.description} |\n"
