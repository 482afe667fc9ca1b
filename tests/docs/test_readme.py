"""What the README shows is what the repository holds."""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_the_reader_in_the_readme_is_the_program_in_docs() -> None:
    shown = re.search(
        r"<!-- docs/use/read.py -->\n```python\n(.*?)```", (_ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )

    assert shown is not None
    assert shown.group(1) == (_ROOT / "docs" / "use" / "read.py").read_text("utf-8")
