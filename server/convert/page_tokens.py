"""Page tokens: where the next page begins, bound to the search that it continues and its bundle.

Of a bundle that a server compacted this is the one that it began with: the items are the same.
"""

import base64
import binascii
import hashlib
import json
import struct
from dataclasses import dataclass

from search.result import MAX_DEPTH, MAX_OFFSET, RequestError

_VERSION = 2
# Version, offset, depth of reranking, digest of the bundle, digest of all that and the search.
_LAYOUT = struct.Struct(">BIH8s16s")
_WHOLE = 0xFFFF


class PageTokenError(RequestError):
    """A page token that does not fit the request."""

    def __init__(
        self,
        problem: str = "is not a token for this search (query, depths, filter, facets, groups, "
        "rules); start again without one",
    ) -> None:
        super().__init__("page_token", problem)


class PageTokenExpiredError(PageTokenError):
    """A page token that fits the request, but was given by another bundle."""

    def __init__(self) -> None:
        super().__init__("is of a bundle that is no longer served; start again without one")


@dataclass(frozen=True)
class Page:
    """Where a page begins."""

    offset: int  # results on the pages before it
    reranked: int | None = None  # candidates reranked for these, where time was short


def write_page_token(page: Page, bundle_id: str, *search: str | int | None) -> str:
    """Returns the token for a page of the search with those parameters."""
    bundle = _digest(8, bundle_id)
    depth = _WHOLE if page.reranked is None else page.reranked
    digest = _digest(16, page.offset, depth, bundle.hex(), *search)
    packed = _LAYOUT.pack(_VERSION, page.offset, depth, bundle, digest)
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def read_page_token(token: str, bundle_id: str, *search: str | int | None) -> Page:
    """Returns the page that `write_page_token` was given with the same search.

    Raises:
        PageTokenError: The token is not one of ours, or is for another search.
        PageTokenExpiredError: It is for the same search on another bundle.
    """
    try:
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, offset, depth, bundle, digest = _LAYOUT.unpack(packed)
    except (ValueError, binascii.Error, struct.error):
        raise PageTokenError from None
    if version != _VERSION or digest != _digest(16, offset, depth, bundle.hex(), *search):
        raise PageTokenError
    # Whoever works the digest out can make a token, but none for a page that there cannot be.
    if offset > MAX_OFFSET or MAX_DEPTH < depth < _WHOLE:
        raise PageTokenError
    if bundle != _digest(8, bundle_id):
        raise PageTokenExpiredError
    return Page(offset, None if depth == _WHOLE else depth)


def _digest(size: int, *parts: str | int | None) -> bytes:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=size).digest()
