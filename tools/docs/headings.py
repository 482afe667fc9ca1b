"""The anchors of headings."""

import re


def anchor(heading: str) -> str:
    """The anchor that GitHub gives the first heading of this text on a page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
