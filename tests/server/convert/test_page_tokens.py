import base64

import pytest

from search.bundle import Manifest
from search.request import SearchRequest
from server.convert.page_tokens import (
    Page,
    PageToken,
    PageTokenError,
    PageTokenExpiredError,
    write_page_token,
)
from tests.server.convert.manifests import manifest

BUNDLE, OTHER_BUNDLE = manifest("bundle-1"), manifest("bundle-2")
SEARCH = SearchRequest("usb c charger", rerank_depth=50)


def read_page_token(token: str, manifest: Manifest, request: SearchRequest) -> Page:
    read = PageToken.read(token)
    read.check(manifest, request)
    return read.page


@pytest.mark.parametrize(
    "page",
    [
        Page(0),
        Page(1),
        Page(10, 0),
        Page(1_000, 1_000),
        Page(10, seed=2**63 - 1, promotions=2**20 - 1),
    ],
    ids=repr,
)
def test_a_token_gives_back_its_page(page: Page) -> None:
    assert read_page_token(write_page_token(page, BUNDLE, SEARCH), BUNDLE, SEARCH) == page


@pytest.mark.parametrize(
    "other",
    [
        SearchRequest("usb c cable", rerank_depth=50),
        SearchRequest("usb c charger", recall_depth=200, rerank_depth=50),
        SearchRequest("usb c charger", rerank_depth=0),
        SearchRequest("usb c charger"),
        SearchRequest("usb c charger", rerank_depth=50, order_by="price"),
        SearchRequest("usb c charger", rerank_depth=50, show_variants=True),
    ],
    ids=["query", "recall depth", "rerank depth 0", "default rerank depth", "order", "variants"],
)
def test_a_token_fits_no_other_search(other: SearchRequest) -> None:
    with pytest.raises(PageTokenError) as refused:
        read_page_token(write_page_token(Page(10), BUNDLE, SEARCH), BUNDLE, other)
    assert not isinstance(refused.value, PageTokenExpiredError)


@pytest.mark.parametrize(("written", "served"), [(BUNDLE, OTHER_BUNDLE), (OTHER_BUNDLE, BUNDLE)])
def test_a_token_of_another_bundle_has_expired(written: Manifest, served: Manifest) -> None:
    token = write_page_token(Page(10), written, SEARCH)
    with pytest.raises(PageTokenExpiredError):
        read_page_token(token, served, SEARCH)


def test_a_token_fits_bundles_compacted_from_its_bundle() -> None:
    token = write_page_token(Page(10), BUNDLE, SEARCH)
    assert read_page_token(token, manifest("bundle-3", root="bundle-1"), SEARCH) == Page(10)
    with pytest.raises(PageTokenExpiredError):
        read_page_token(token, manifest("bundle-1", root="bundle-0"), SEARCH)


def test_a_token_of_another_bundle_and_another_search_is_a_mismatch() -> None:
    token = write_page_token(Page(10), BUNDLE, SEARCH)
    with pytest.raises(PageTokenError) as refused:
        read_page_token(token, OTHER_BUNDLE, SearchRequest("hdmi", rerank_depth=50))
    assert not isinstance(refused.value, PageTokenExpiredError)


@pytest.mark.parametrize(
    "token", ["", "x", "!!!!", "ü", "=", "AAAA", "A" * 10_000, "\x00", "10"], ids=repr
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenError) as refused:
        read_page_token(token, BUNDLE, SEARCH)
    assert refused.value.field == "page_token"


@pytest.mark.parametrize(
    "page",
    [Page(1_001), Page(2**32 - 1), Page(10, 1_001), Page(10, 2**16 - 2)],
    ids=repr,
)
def test_a_forged_token_of_a_page_that_cannot_be_is_refused_as_a_token(page: Page) -> None:
    forged = write_page_token(page, BUNDLE, SEARCH)
    with pytest.raises(PageTokenError) as refused:
        read_page_token(forged, BUNDLE, SEARCH)
    assert refused.value.field == "page_token"
    assert not isinstance(refused.value, PageTokenExpiredError)


def test_every_flipped_bit_is_noticed() -> None:
    token = write_page_token(Page(10), BUNDLE, SEARCH)
    packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PageTokenError):
            read_page_token(base64.urlsafe_b64encode(flipped).decode().rstrip("="), BUNDLE, SEARCH)


def test_characters_that_no_token_has_are_refused() -> None:
    token = write_page_token(Page(10), BUNDLE, SEARCH)
    for other in ("!", " ", "\n", "+", "/", "é"):
        with pytest.raises(PageTokenError):
            read_page_token(token[:5] + 4 * other + token[5:], BUNDLE, SEARCH)


def test_a_token_does_not_show_the_query() -> None:
    token = write_page_token(Page(10), BUNDLE, SEARCH)
    assert b"usb" not in base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
