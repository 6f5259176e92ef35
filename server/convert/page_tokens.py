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
from search.exploration.request import MAX_SEED
from search.request import MAX_OFFSET, SearchRequest

MAX_PAGE_BYTES = 2 * 2**20  # of a page of a list: by default, clients read up to 4 MiB

_VERSION = 4
# The fields of a token: version, offset, number of reranked candidates, seed, active promotions,
# digest of the bundle, and a digest of the search. The last digest also includes the five fields
# before it.
_LAYOUT = struct.Struct(">BIHQQ8s16s")
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
    seed: int = 0  # of the exploration; 0: no exploration
    promotions: int = 0  # the `active_promotions` of the first page


def write_page_token(page: Page, manifest: Manifest, request: SearchRequest) -> str:
    """Return the token for a page of a search."""
    bundle = _bundle_digest(manifest)
    digest = _token_digest(page, bundle, request)
    packed = _LAYOUT.pack(_VERSION, *_numbers(page), bundle, digest)
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
            version, offset, depth, seed, promotions, bundle, digest = _LAYOUT.unpack(packed)
        except (ValueError, binascii.Error, struct.error):
            raise PageTokenError from None
        # Callers can compute the digest, so a token can be forged. Refuse numbers out of range.
        is_depth = depth <= MAX_DEPTH or depth == _NO_LIMIT
        if version != _VERSION or offset > MAX_OFFSET or not is_depth or seed > MAX_SEED:
            raise PageTokenError
        page = Page(offset, None if depth == _NO_LIMIT else depth, seed, promotions)
        return cls(page, bundle, digest)

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
    return _digest(16, *_numbers(page), bundle.hex(), request.identity)


def _numbers(page: Page) -> tuple[int, int, int, int]:
    depth = _NO_LIMIT if page.reranked is None else page.reranked
    return page.offset, depth, page.seed, page.promotions


def _digest(size: int, *parts: str | int) -> bytes:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=size).digest()
