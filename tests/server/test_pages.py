import base64

import pytest

from server.pages import PageTokenError, read_page_token, write_page_token

SEARCH = ("usb c charger", None, 50, "bundle-1")


@pytest.mark.parametrize("offset", [0, 1, 10, 1_000])
def test_a_token_gives_back_its_offset(offset: int) -> None:
    assert read_page_token(write_page_token(offset, *SEARCH), *SEARCH) == offset


@pytest.mark.parametrize(
    "other",
    [
        ("usb c cable", None, 50, "bundle-1"),
        ("usb c charger", 200, 50, "bundle-1"),
        ("usb c charger", None, 0, "bundle-1"),
        ("usb c charger", None, None, "bundle-1"),
        ("usb c charger", None, 50, "bundle-2"),
    ],
    ids=["query", "recall depth", "rerank depth 0", "default rerank depth", "bundle"],
)
def test_a_token_fits_no_other_search(other: tuple[str | int | None, ...]) -> None:
    with pytest.raises(PageTokenError):
        read_page_token(write_page_token(10, *SEARCH), *other)


@pytest.mark.parametrize(
    "token", ["", "x", "!!!!", "ü", "=", "AAAA", "A" * 10_000, "\x00", "10"], ids=repr
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenError) as refused:
        read_page_token(token, *SEARCH)
    assert refused.value.field == "page_token"


def test_every_flipped_bit_is_noticed() -> None:
    token = write_page_token(10, *SEARCH)
    packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PageTokenError):
            read_page_token(base64.urlsafe_b64encode(flipped).decode().rstrip("="), *SEARCH)


def test_a_token_does_not_show_the_query() -> None:
    token = write_page_token(10, *SEARCH)
    assert b"usb" not in base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
