"""Writes the generated pages; with `--check` it only reports which of them are out of date."""

import sys
from pathlib import Path

from tools.docs.api_page import api_page
from tools.docs.events_page import events_page
from tools.docs.settings_page import settings_page

_DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    texts = {"use/api.md": api_page(), "use/events.md": events_page(), "run/settings.md": settings_page()}
    if "--check" not in sys.argv:
        for name, text in texts.items():
            (_DOCS / name).write_text(text, encoding="utf-8")
        return
    old = [name for name, text in texts.items() if not _is_current(_DOCS / name, text)]
    if old:
        sys.exit("\n".join(f"docs/{name} is out of date: run `make docs`." for name in old))


def _is_current(page: Path, text: str) -> bool:
    return page.exists() and page.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main()
