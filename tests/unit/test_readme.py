"""What the README shows is what the repository holds."""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_the_reader_in_the_readme_is_the_one_in_docs() -> None:
    shown = re.search(
        r"<!-- docs/read.py -->\n```python\n(.*?)```", (_ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )

    assert shown is not None
    assert shown.group(1) == (_ROOT / "docs" / "read.py").read_text("utf-8")


def test_every_page_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (_ROOT / "README.md").read_text("utf-8"))

    assert [link for link in links if not (_ROOT / link).exists()] == []
