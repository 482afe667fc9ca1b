"""Every link between the pages leads somewhere: the file exists, and the heading, by GitHub's rules."""

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_OUTSIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/e2e/README.md")
_PAGES = [*(_ROOT / name for name in _OUTSIDE), *sorted(_DOCS.rglob("*.md"))]
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_MENTION = re.compile(r"(?<![\w/])docs/[\w./-]+\.(?:md|py)\b")


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = _LINK.findall(_prose(page))

    assert [link for link in links if "://" not in link and not _leads(page, link)] == []


def test_every_page_that_a_file_mentions_exists() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=_ROOT, capture_output=True, check=True).stdout
    files = [_ROOT / name for name in listed.decode().split("\0") if name]
    mentions = {(file, each) for file in files if file.is_file() for each in _MENTION.findall(_text(file))}

    assert len(mentions) > 10
    assert [(str(file), each) for file, each in mentions if not (_ROOT / each).exists()] == []


def test_the_start_page_or_a_page_that_it_links_to_leads_to_every_page() -> None:
    start = _DOCS / "README.md"
    first = _targets(start)

    assert set(_DOCS.rglob("*.md")) - {start} - first - {page for each in first for page in _targets(each)} == set()


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("#shapes", True),
        ("#shape", False),
        ("#health-1", True),
        ("#health-2", False),
        ("events.md#runstart", True),
        ("events.md#run.start", False),
        ("../../infra", True),
        ("deployment.md", False),
    ],
)
def test_a_dead_link_is_found(link: str, leads: bool) -> None:
    assert _leads(_DOCS / "use" / "api.md", link) is leads


def _leads(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _targets(page: Path) -> set[Path]:
    """The pages that `page` links to."""
    links = [link.partition("#")[0] for link in _LINK.findall(_prose(page))]
    return {(page.parent / link).resolve() for link in links if link.endswith(".md") and "://" not in link}


@cache
def _anchors(page: Path) -> frozenset[str]:
    """Lower case, without punctuation, spaces as hyphens. A heading that comes again gets a number."""
    seen: Counter[str] = Counter()
    anchors: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(anchors)


def _prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCED.sub("", page.read_text("utf-8"))


def _text(file: Path) -> str:
    return file.read_text("utf-8", errors="ignore")
