"""Settings of the live catalogue: values out of range are refused."""

import pytest

from base.errors import InputError
from live.config import LiveConfig


@pytest.mark.parametrize(
    ("setting", "value", "advice"),
    [
        ("compact_share", 0.0, "give more than 0"),
        ("compact_share", float("nan"), "give more than 0"),
        ("compact_from", 0, "give 1 or more"),
        ("queued_writes", 0, "give 1 or more"),  # with 0, the queue would have no limit
        ("pending_items", -1, "give 0 or more"),
        ("gather_seconds", -0.1, "give 0 or more"),
        ("check_seconds", 0.0, "give more than 0"),  # with 0, the thread would never sleep
        ("show_seconds", 0.0, "give more than 0"),
        ("max_retry_write_seconds", 0.0, "give more than 0"),
        ("give_way_seconds", 0.0, "give more than 0"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting, value, advice):
    with pytest.raises(InputError, match=f"live: {setting} is {value}; {advice}"):
        LiveConfig(**{setting: value})


def test_a_limit_of_no_pending_items_and_no_pause_between_transactions_are_allowed():
    assert LiveConfig(pending_items=0, gather_seconds=0.0).pending_items == 0
