"""Page tokens: where the next page begins, bound to the search that it continues and its bundle.

Compaction keeps the items of a bundle, so the token of a bundle fits the bundles that were
compacted from it.
"""

import base64
import binascii
import hashlib
import json
import struct
from dataclasses import dataclass

from search.bundle import Manifest
from search.config import MAX_DEPTH
from search.errors import RequestError
from search.request import MAX_OFFSET, SearchRequest

_VERSION = 3
# Version, offset, reranked candidates, digest of the bundle, digest of all that and the search.
_LAYOUT = struct.Struct(">BIH8s16s")
_NO_LIMIT = 0xFFFF


class PageTokenError(RequestError):
    """A page token that does not fit the request."""

    def __init__(
        self,
        problem: str = "is not a token for this search (query, depths, filter, facets, groups, "
        "rules); start again without one",
    ) -> None:
        super().__init__("page_token", problem)


class PageTokenExpiredError(PageTokenError):
    """A page token that fits the request, but comes from another bundle."""

    def __init__(self) -> None:
        super().__init__("is of a bundle that is no longer served; start again without one")


@dataclass(frozen=True)
class Page:
    """Where a page begins."""

    offset: int  # results on the pages before it
    reranked: int | None = None  # candidates reranked for these, if time was short


def write_page_token(page: Page, manifest: Manifest, request: SearchRequest) -> str:
    """Return the token for a page of a search."""
    bundle = _bundle_digest(manifest)
    depth = _NO_LIMIT if page.reranked is None else page.reranked
    digest = _digest(16, page.offset, depth, bundle.hex(), request.identity)
    packed = _LAYOUT.pack(_VERSION, page.offset, depth, bundle, digest)
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def read_page_token(token: str, manifest: Manifest, request: SearchRequest) -> Page:
    """Return the page that `write_page_token` wrote into a token for the same search.

    Raises:
        PageTokenError: the token is malformed, or is for another search.
        PageTokenExpiredError: the token is for the same search on another bundle.
    """
    try:
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, offset, depth, bundle, digest = _LAYOUT.unpack(packed)
    except (ValueError, binascii.Error, struct.error):
        raise PageTokenError from None
    expected = _digest(16, offset, depth, bundle.hex(), request.identity)
    if version != _VERSION or digest != expected:
        raise PageTokenError
    # A caller can compute the digest and forge a token, but not one for an impossible page.
    if offset > MAX_OFFSET or MAX_DEPTH < depth < _NO_LIMIT:
        raise PageTokenError
    if bundle != _bundle_digest(manifest):
        raise PageTokenExpiredError
    return Page(offset, None if depth == _NO_LIMIT else depth)


def _bundle_digest(manifest: Manifest) -> bytes:
    """Return the digest of the bundle, or of the bundle that it was compacted from."""
    return _digest(8, manifest.root or manifest.bundle_id)


def _digest(size: int, *parts: str | int) -> bytes:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=size).digest()
