"""The SQLite file: who may read it, which files are refused, and what happens if it breaks while the app runs."""

import asyncio
import logging
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.factories import append_events, create_session, delta
from turnlog.domain.errors import StoreUnavailableError
from turnlog.stores import sqlite
from turnlog.stores.sqlite.file import BrokenFileError, check_file

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")
async def test_only_the_apps_user_may_read_the_files(tmp_path: Path) -> None:
    path = tmp_path / "data" / "sessions.db"
    log = sqlite.open_stores(path).log
    await create_session(log)

    assert rights(path.parent) == 0o700
    assert {each.name: rights(each) for each in path.parent.iterdir()} == {
        "sessions.db": 0o600,
        "sessions.db-wal": 0o600,
        "sessions.db-shm": 0o600,
    }

    await log.close()


async def broken_files(folder: Path) -> dict[str, Path]:
    """Files that can't be used, by what is wrong with them."""
    sound = folder / "sound.db"
    log = sqlite.open_stores(sound).log
    state = await create_session(log)
    for _ in range(50):
        state = await append_events(log, state, delta("x" * 1000))
    await log.close()
    files = {name: folder / f"{name}.db" for name in ("garbage", "truncated", "foreign")}
    files["garbage"].write_bytes(b"garbage " * 1000)
    files["truncated"].write_bytes(sound.read_bytes()[:20_000])
    with closing(sqlite3.connect(files["foreign"])) as foreign:
        foreign.execute("CREATE TABLE states (id TEXT)")
    check_file(sound)
    return files


@pytest.mark.parametrize("name", ["garbage", "truncated", "foreign"])
async def test_a_broken_file_is_refused_at_the_start_in_one_line(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    content = (await broken_files(tmp_path))[name].read_bytes()
    (data_dir / "sessions.db").write_bytes(content)

    with pytest.raises(BrokenFileError):
        check_file(data_dir / "sessions.db")
    command = [sys.executable, "-m", "turnlog.local.host", "--port", "0", "--data-dir", str(data_dir)]
    env = {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "k", "MODEL": "m"}
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "listening" not in done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("cannot start: ")
    assert str(data_dir / "sessions.db") in line


async def test_a_file_that_breaks_while_the_app_runs_is_an_unavailable_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sessions.db"
    log = sqlite.open_stores(path).log
    state = await create_session(log)
    for _ in range(300):
        state = await append_events(log, state, delta("x" * 2000))
    await log.close()
    log = sqlite.open_stores(path).log
    with path.open("r+b") as file:
        for page in range(4096, path.stat().st_size, 4096):
            file.seek(page)
            file.write(b"\xff" * 16)

    with caplog.at_level(logging.ERROR), pytest.raises(StoreUnavailableError) as refused:
        await log.read(state.session_id, 0, 1000)

    assert f"{path} can't be used" in caplog.text
    assert "Traceback" not in caplog.text
    assert str(tmp_path) not in str(refused.value)
    await log.close()
