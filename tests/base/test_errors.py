"""Test the messages of refused numbers and counts."""

import pytest

from base.errors import RequestError, check_count, check_range


@pytest.mark.parametrize(
    ("number", "low", "high", "message"),
    [
        (2_500_000, 0, 1_000_000, "is 2,500,000; give 0 to 1,000,000"),
        (-1.5, 0.0, None, "is -1.5; give at least 0"),
        (12_345_678.25, None, 1_234_567.5, "is 12,345,678.25; give at most 1,234,567.5"),
    ],
)
def test_a_refused_number_and_its_limits_have_all_digits(
    number: float, low: float | None, high: float | None, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        check_range(number, "price", low, high)


def test_a_refused_count_and_its_limit_have_all_digits() -> None:
    with pytest.raises(RequestError, match="has 1,000,001 entries; give at most 1,000,000"):
        check_count(1_000_001, "items", None, 1_000_000)
