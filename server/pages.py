"""Page tokens: where the next page begins, bound to the search that it continues."""

import base64
import binascii
import hashlib
import json
import struct

from search.records import RequestError

_VERSION = 1
_LAYOUT = struct.Struct(">BI16s")  # version, offset, digest of the offset and the search


class PageTokenError(RequestError):
    """A page token that does not fit the request."""

    def __init__(self) -> None:
        super().__init__(
            "page_token",
            "is not a token for this search (query, depths, filter, facets, groups, rules) and the "
            "bundle being served; start again without one",
        )


def write_page_token(offset: int, *search: str | int | None) -> str:
    """Returns the token for the page from `offset` on of the search with those parameters."""
    packed = _LAYOUT.pack(_VERSION, offset, _digest(offset, search))
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def read_page_token(token: str, *search: str | int | None) -> int:
    """Returns the offset that `write_page_token` was given with the same search.

    Raises:
        PageTokenError: The token is not one of ours, or is for another search.
    """
    try:
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, offset, digest = _LAYOUT.unpack(packed)
    except (ValueError, binascii.Error, struct.error):
        raise PageTokenError from None
    if version != _VERSION or digest != _digest(offset, search):
        raise PageTokenError
    return int(offset)


def _digest(offset: int, search: tuple[str | int | None, ...]) -> bytes:
    text = json.dumps([offset, *search])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
