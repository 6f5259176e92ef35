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

from base.errors import RequestError
from search.bundle import Manifest
from search.config import MAX_DEPTH
from search.request import MAX_OFFSET, SearchRequest

MAX_PAGE_BYTES = 2 * 2**20  # of a page of a list: by default, clients read up to 4 MiB

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
    digest = _token_digest(page, bundle, request)
    packed = _LAYOUT.pack(_VERSION, page.offset, _depth(page), bundle, digest)
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


@dataclass(frozen=True)
class PageToken:
    """A token that has the form of a token; `check` says whether it fits its request."""

    page: Page
    bundle: bytes  # digest of the bundle
    digest: bytes  # digest of the page, the bundle and the search

    @classmethod
    def read(cls, token: str) -> "PageToken":
        """Read a token that `write_page_token` wrote.

        Raises:
            PageTokenError: the token is malformed.
        """
        try:
            packed = base64.b64decode(
                token + "=" * (-len(token) % 4), altchars=b"-_", validate=True
            )
            version, offset, depth, bundle, digest = _LAYOUT.unpack(packed)
        except (ValueError, binascii.Error, struct.error):
            raise PageTokenError from None
        # Callers can compute the digest, so a token can be forged. Refuse numbers out of range.
        if version != _VERSION or offset > MAX_OFFSET or MAX_DEPTH < depth < _NO_LIMIT:
            raise PageTokenError
        return cls(Page(offset, None if depth == _NO_LIMIT else depth), bundle, digest)

    def check(self, manifest: Manifest, request: SearchRequest) -> None:
        """Refuse a token of another search or of another bundle.

        Raises:
            PageTokenError: the token belongs to another search.
            PageTokenExpiredError: the token belongs to this search on another bundle.
        """
        if self.digest != _token_digest(self.page, self.bundle, request):
            raise PageTokenError
        if self.bundle != _bundle_digest(manifest):
            raise PageTokenExpiredError


def _bundle_digest(manifest: Manifest) -> bytes:
    """Return the digest of a bundle's id; for a compacted bundle, of its trained bundle's id."""
    return _digest(8, manifest.root or manifest.bundle_id)


def _token_digest(page: Page, bundle: bytes, request: SearchRequest) -> bytes:
    return _digest(16, page.offset, _depth(page), bundle.hex(), request.identity)


def _depth(page: Page) -> int:
    return _NO_LIMIT if page.reranked is None else page.reranked


def _digest(size: int, *parts: str | int) -> bytes:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=size).digest()
