"""The cursors of lists: opaque to clients, to us where the page before ended."""

import base64
import binascii

from shared.domain.errors import InvalidCursorError


def encode_cursor(listing_key: str) -> str:
    return base64.urlsafe_b64encode(listing_key.encode()).decode()


def decode_cursor(cursor: str) -> str:
    """The listing key that a cursor stands for.

    Raises:
        InvalidRequestError: no list gave it out.
    """
    try:
        decoded = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    if not decoded:
        raise InvalidCursorError("the `next_cursor` of a page of this list")
    return decoded
