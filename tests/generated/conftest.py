"""These tests need a generator of clients, which is in a separate environment: see environment.py."""

import importlib.util

if importlib.util.find_spec("openapi_python_client") is None:
    collect_ignore_glob = ["test_*.py"]
