"""What pages show of a program is what the repository holds, and what the tests run."""

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def test_the_example_in_react_has_the_transport_of_the_docs() -> None:
    copies = ("docs/use/ai-sdk.mjs", "examples/react/src/ai-sdk.mjs")

    assert len({(_ROOT / copy).read_text("utf-8") for copy in copies}) == 1


@pytest.mark.parametrize(
    ("page", "program"),
    [
        ("README.md", "docs/use/read.py"),
        ("docs/use/ai-sdk.md", "docs/use/ai-sdk.mjs"),
        ("docs/use/ag-ui.md", "docs/use/ag-ui.mjs"),
    ],
)
def test_a_page_shows_the_whole_program(page: str, program: str) -> None:
    text = (_ROOT / page).read_text("utf-8")
    shown = re.search(rf"<!-- {re.escape(program)} -->\n```\w+\n(.*?)```", text, re.DOTALL)

    assert shown is not None
    assert shown.group(1) == (_ROOT / program).read_text("utf-8")
