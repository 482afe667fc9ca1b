"""How many requests whole turns send to Cosmos DB, through the real app: every bill contains them.

How often an answer is written depends on its pace; see tests/behaviour/turns/test_relay.py, and `python -m bench.cost`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

Bills = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def bills(endpoint: str) -> Bills:
    """The turns as `bench.cost` counts them, in another process, since the app can be loaded only once.

    Of three turns each, the one with the fewest requests counts. On a busy machine a turn takes so long that an attempt
    renews its lease or is checked: that is its pace, not what a turn needs.
    """
    command = [sys.executable, "-m", "bench.cost", "--json", *["--only", "short", "--only", "tools"] * 3]
    env = {**os.environ, "COSMOS_TEST_ENDPOINT": endpoint}
    counted = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert counted.returncode == 0, counted.stderr
    turns = sorted(json.loads(counted.stdout), key=lambda bill: bill["other_requests"], reverse=True)
    return {bill["turn"]: bill for bill in turns}


def test_a_turn_without_tools_takes_six_requests_besides_its_flushes(bills: Bills) -> None:
    assert bills["short"]["flushes"] <= 1
    assert bills["short"]["other_requests"] <= 6


def test_a_tool_takes_few_requests_more(bills: Bills) -> None:
    steps, tools = 3, 3
    to_begin, for_a_step, for_a_tool = 2, 7, 5

    assert bills["tools"]["other_requests"] <= to_begin + for_a_step * steps + for_a_tool * tools


def test_a_turn_is_cheaper_than_a_document_for_each_token(bills: Bills) -> None:
    for bill in bills.values():
        assert bill["one_document_per_token"] > bill["request_units"]
