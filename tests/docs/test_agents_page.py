"""The first steps of docs/use/agents.md run as they are printed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks_of(page: str, language: str) -> list[str]:
    blocks: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for tag, text in blocks if tag == language]


def test_the_agent_of_the_page_answers_with_its_tools_result(tmp_path: Path) -> None:
    page = (ROOT / "docs/use/agents.md").read_text("utf-8").split("## Approvals")[0]
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "agents").mkdir()
    (file,) = re.findall(r"Save this as `(agents/\w+\.py)`", page)
    (tmp_path / file).write_text(blocks_of(page, "python")[0], "utf-8")
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "turnlog.local.host", "--app-dir", str(tmp_path), "--port", "0"]
    host = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**inherited, "PYTHONPATH": str(ROOT)})
    try:
        assert host.stdout is not None
        url = next(line for line in host.stdout if line.startswith("listening on ")).split()[-1]
        answers = [
            json.loads(subprocess.run(shlex.split(each), capture_output=True, check=True).stdout)
            for each in blocks_of(page, "")[0].replace("localhost:7071", url).replace("\\\n", " ").split("\n\n")
        ]
    finally:
        host.kill()
        host.communicate()

    assert answers[1]["status"] == "completed"
    assert [each["name"] for each in answers[1]["tool_calls"]] == ["look_up"]
    assert "Room 12" in json.dumps(answers[1])
