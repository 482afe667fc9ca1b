"""Loading the app prepares the data folder, warns about a missing model, and hides the worker's address."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def load(**env: str) -> str:
    """Load the app in its own process. Returns its output on stderr."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-c", "import function_app"]
    done = subprocess.run(command, cwd=ROOT, env={**inherited, **env}, capture_output=True, text=True, check=True)
    return done.stderr


def test_an_app_on_cosmos_db_creates_no_folder(tmp_path: Path) -> None:
    load(DATA_DIR=str(tmp_path / "data"), COSMOS_ENDPOINT="https://x")

    assert not (tmp_path / "data").exists()


def test_a_missing_model_is_reported_at_the_start(tmp_path: Path) -> None:
    assert "set OPENAI_BASE_URL, OPENAI_API_KEY and MODEL" in load(DATA_DIR=str(tmp_path))


def test_the_data_folder_exists_as_soon_as_the_app_is_loaded_and_nothing_else_is_printed(tmp_path: Path) -> None:
    endpoint = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "k", "MODEL": "m"}

    assert load(DATA_DIR=str(tmp_path / "deep" / "data"), **endpoint) == ""
    assert (tmp_path / "deep" / "data").is_dir()


def test_the_workers_address_is_hidden_but_not_other_lines(tmp_path: Path) -> None:
    script = """
import logging, uvicorn, function_app
uvicorn.Config(lambda: None)  # as the worker's web server does after the app is loaded
logging.getLogger("uvicorn.error").info("Uvicorn running on %s (Press CTRL+C to quit)", "http://h:1")
logging.getLogger("uvicorn.error").info("Started server process [%d]", 1)
logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "a", "GET", "/", "1.1", 200)
"""
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True)

    assert "Uvicorn running" not in done.stderr
    assert "GET /" not in done.stdout
    assert "Started server process" in done.stderr
