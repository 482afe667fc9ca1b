"""The fixtures of the HTTP suite: these tests are that suite's, in the words of the requirement documents."""

from tests.http.conftest import api, host, store_environment

__all__ = ["api", "host", "store_environment"]
