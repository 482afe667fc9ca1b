"""The lines of an export, and whether all of them came."""

import json
from dataclasses import dataclass

from turnlog_client.errors import NetworkError


@dataclass
class Export:
    """Reads the lines of an export; the last one has the sequence that the first one announces."""

    head: int | None = None
    last: str = ""

    def read(self, line: str) -> str:
        """Take the next line, and return it."""
        if self.head is None:
            self.head = int(json.loads(line)["head"])
        else:
            self.last = line
        return line

    def check(self) -> None:
        """Check the end.

        Raises:
            NetworkError: the export was cut off.
        """
        sequence = json.loads(self.last)["sequence"] if self.last else 0
        if sequence != self.head:
            raise NetworkError(f"the export was cut off after sequence {sequence} of {self.head}")
