"""Page tokens. A token holds the position of the next page and is valid for one search and bundle.

A token is also valid for bundles that were compacted from its bundle, because compaction keeps the
items.
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
# The fields of a token: version, offset, number of reranked candidates, digest of the bundle, and a
# digest of the search. The last digest also includes the three fields before it.
_LAYOUT = struct.Struct(">BIH8s16s")
_NO_LIMIT = 0xFFFF  # number of reranked candidates in a token if `Page.reranked` is None


class PageTokenError(RequestError):
    """The page token is malformed or belongs to another search."""

    def __init__(
        self,
        problem: str = "is not a token for this search; repeat the request that returned the "
        "token, or start again without a token",
    ) -> None:
        super().__init__("page_token", problem)


class PageTokenExpiredError(PageTokenError):
    """The page token belongs to this search, but to a bundle that no longer serves."""

    def __init__(self) -> None:
        super().__init__(
            "belongs to a bundle that is no longer served; start again without a token"
        )


@dataclass(frozen=True)
class Page:
    """The position of a page in the ranked list."""

    offset: int  # number of results on earlier pages
    # number of candidates that the earlier pages reranked, if time was short; this page reranks the
    # same candidates. None: time was not short
    reranked: int | None = None


def write_page_token(page: Page, manifest: Manifest, request: SearchRequest) -> str:
    """Return the token for a page of a search."""
    bundle = _bundle_digest(manifest)
    depth = _NO_LIMIT if page.reranked is None else page.reranked
    digest = _digest(16, page.offset, depth, bundle.hex(), request.identity)
    packed = _LAYOUT.pack(_VERSION, page.offset, depth, bundle, digest)
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def read_page_token(token: str, manifest: Manifest, request: SearchRequest) -> Page:
    """Return the page that a token from `write_page_token` describes.

    Raises:
        PageTokenError: the token is malformed or belongs to another search.
        PageTokenExpiredError: the token belongs to this search on another bundle.
    """
    try:
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, offset, depth, bundle, digest = _LAYOUT.unpack(packed)
    except (ValueError, binascii.Error, struct.error):
        raise PageTokenError from None
    expected = _digest(16, offset, depth, bundle.hex(), request.identity)
    if version != _VERSION or digest != expected:
        raise PageTokenError
    # Callers can compute the digest, so a forged token is possible. Refuse numbers out of range.
    if offset > MAX_OFFSET or MAX_DEPTH < depth < _NO_LIMIT:
        raise PageTokenError
    if bundle != _bundle_digest(manifest):
        raise PageTokenExpiredError
    return Page(offset, None if depth == _NO_LIMIT else depth)


def _bundle_digest(manifest: Manifest) -> bytes:
    """Return the digest of a bundle's id; for a compacted bundle, of its trained bundle's id."""
    return _digest(8, manifest.root or manifest.bundle_id)


def _digest(size: int, *parts: str | int) -> bytes:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=size).digest()
