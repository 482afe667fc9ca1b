"""Every link between the pages has a target: the file exists, and so does the heading, by GitHub's rules."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_every_link_of_a_page_has_a_target(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", _prose(page))

    assert [link for link in links if "://" not in link and not _has_target(page, link)] == []


@pytest.mark.parametrize(
    ("link", "has_target"),
    [
        ("#shapes", True),
        ("#shape", False),
        ("#health-1", True),
        ("#health-2", False),
        ("events.md#runstart", True),
        ("events.md#run.start", False),
        ("../infra", True),
        ("deployment.md", False),
    ],
)
def test_a_dead_link_is_recognised(link: str, has_target: bool) -> None:
    assert _has_target(_ROOT / "docs" / "api.md", link) is has_target


def _has_target(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in _anchors(target))


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The anchors of a page: lower case, no punctuation, hyphens for spaces; a repeated heading gets a number."""
    seen: Counter[str] = Counter()
    anchors: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(anchors)


def _prose(page: Path) -> str:
    """The text of the page without code blocks."""
    return _FENCED.sub("", page.read_text("utf-8"))
