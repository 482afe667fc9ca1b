"""The model client without a configured model: each use fails, and the error names the missing settings."""

from contextlib import AbstractAsyncContextManager

from turnlog.domain.errors import ModelError
from turnlog.ports import ModelRequest, ModelStream

NO_MODEL = (
    "No model is set up: set OPENAI_BASE_URL, OPENAI_API_KEY and MODEL, in the environment or in local.settings.json."
    " `make run` starts a scripted model when they are not set."
)


class UnconfiguredModelClient:
    """See `turnlog.ports.ModelClient`."""

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[ModelStream]:  # noqa: ARG002
        raise _error()

    async def check(self) -> None:
        raise _error()

    async def close(self) -> None:
        pass


def _error() -> ModelError:
    return ModelError("model_not_configured", NO_MODEL, transient=False)
