"""The texts of files: what is written for a reader, without the code in it."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_CODE = re.compile(r"^```.*?^```|``[^`]+``|`[^`]+`|\"[^\"\n]*\"|https?://\S+", re.MULTILINE | re.DOTALL)
_COMMENT = {"#": re.compile(r"(?:^|\s)#+!? ?(.*)$"), "//": re.compile(r"(?:^|\s)//+ ?(.*)$")}


class Text(NamedTuple):
    """A text, and the line of the file on which it begins."""

    line: int
    text: str

    def without_code(self) -> str:
        """The text with its code and quotations blanked: every line stays where it is."""
        return _CODE.sub(lambda match: re.sub(r"[^\n]", "·", match[0]), self.text)


def joined_lines(lines: Iterable[tuple[int, str]]) -> Iterator[Text]:
    """Numbered lines as texts: lines that follow each other are one text."""
    first, block = 0, list[str]()
    for number, line in lines:
        if block and number != first + len(block):
            yield Text(first, "\n".join(block))
            block = []
        first = first if block else number
        block.append(line)
    if block:
        yield Text(first, "\n".join(block))


def comments(source: str, mark: str) -> Iterator[Text]:
    """The comments of a file that is not Python, by the mark that begins one."""
    found = ((number, _COMMENT[mark].search(line)) for number, line in enumerate(source.split("\n"), start=1))
    yield from joined_lines((number, match[1]) for number, match in found if match is not None)
