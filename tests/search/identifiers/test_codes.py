"""Normal forms of codes, and which texts are codes."""

import pytest

from search.identifiers.codes import (
    is_attribute_code,
    is_size,
    is_written_as_code,
    normal_form,
    part_forms,
)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("WX-40871-B", "wx 40871 b"),
        ("WX-40871-B", "wx40871b"),
        ("978-0-100038-22-8", "9780100038228"),
        ("012345678905", "0012345678905"),  # GTIN-12 and GTIN-13
        ("0-306-40615-2", "978-0-306-40615-7"),  # ISBN-10 and ISBN-13
        ("080442957X", "9780804429573"),
    ],
)
def test_spellings_of_a_code_have_one_form(first: str, second: str):
    assert normal_form(first) == normal_form(second)


def test_zeros_before_short_codes_count():
    assert normal_form("007") == "007"


def test_parts_of_a_code_are_its_digits_and_its_joined_pieces():
    assert part_forms("WX-40871-B") == {"40871", "wx40871", "40871b"}
    assert part_forms("4711234") == set()


@pytest.mark.parametrize("text", ["2x4", "12 gauge", "5000 btu", "5,000 BTU", "1/2 in", "500ml"])
def test_sizes(text: str):
    assert is_size(text)


@pytest.mark.parametrize("value", ["WX-40872-B", "978-0-100037-14-6", "TN2010"])
def test_values_that_are_codes(value: str):
    assert is_attribute_code(value)


@pytest.mark.parametrize("value", ["64 gb", "500ml", "1920x1080", "68000", "blue", "100-240", ""])
def test_values_that_are_no_codes(value: str):
    assert not is_attribute_code(value)


@pytest.mark.parametrize(
    ("word", "expected"),
    [("p03055", True), ("123456", True), ("12345", False), ("2023-01-31", False), ("lamp", False)],
)
def test_words_that_are_written_as_codes(word: str, expected: bool):
    assert is_written_as_code(word) == expected
