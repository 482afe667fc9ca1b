"""The one place where what a model's server said becomes what callers read. The operator's log has the rest."""

import logging
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from turnlog.domain.errors import ModelError
from turnlog.domain.redaction import redact, redact_keys

MAX_MESSAGE_LENGTH = 560
"""How much of a server's message a caller reads, with the app's words before it."""

_MAX_LOGGED_LENGTH = 4000

_log = logging.getLogger(__name__)


class ModelErrorRedactor:
    """Redacts the text of each ModelError: keys, tokens, accounts, addresses and paths, and what the app itself sends.

    `base_url` is where the server is; `secrets` are the app's keys.
    """

    def __init__(self, base_url: str | None, secrets: Iterable[str]) -> None:
        url = urlsplit(base_url or "")
        self._secrets = [*secrets, *filter(None, (url.password, url.query))]
        self._places = [url.netloc, *filter(None, (url.hostname,))]

    @contextmanager
    def redacting(self, headers: Mapping[str, str] | None = None) -> Generator[None]:
        """Log each ModelError that leaves the context, and leave in it what callers may read.

        `headers` are those that the app adds to the request: their values may be keys.
        """
        try:
            yield
        except ModelError as error:
            text, secrets = str(error), [*self._secrets, *(headers or {}).values()]
            logged = redact_keys(text[:_MAX_LOGGED_LENGTH], secrets)
            _log.warning("the model call failed with %s: %s", error.failure_code, logged)
            error.args = (_shortened(redact(text, [*secrets, *self._places])),)
            raise


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:MAX_MESSAGE_LENGTH]}…"
