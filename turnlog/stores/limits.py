"""The limits of a batch, for every store.

Cosmos DB takes 100 operations and 2 MB. The limits of the port leave room for what the SDK and the service add.
"""

from collections.abc import Sequence

from turnlog.domain.errors import BatchTooLargeError
from turnlog.domain.sizes import size_of_body
from turnlog.ports.log import MAX_BATCH_BYTES, MAX_BATCH_DOCUMENTS

_ITEM_BYTES = 1024
"""What an item has beside its body: ids, fields that are queried, and the operation around it."""


def require_batch_fits(bodies: Sequence[str]) -> None:
    """Check a batch of items with these bodies, each of which is JSON text.

    Raises:
        BatchTooLargeError: they are too many, or too large together.
    """
    if len(bodies) > MAX_BATCH_DOCUMENTS:
        raise BatchTooLargeError(f"{len(bodies)} documents", f"{MAX_BATCH_DOCUMENTS}")
    size = sum(size_of_body(body) + _ITEM_BYTES for body in bodies)
    if size > MAX_BATCH_BYTES:
        raise BatchTooLargeError(f"{size // 1024} KB", f"{MAX_BATCH_BYTES // 1024} KB")
