"""A buffer that grows while readers use earlier views of it."""

import numpy as np
import pytest

from search.channels.append_buffer import AppendBuffer


def rows(*values: float) -> np.ndarray:
    return np.array([[value, -value] for value in values], np.float32).reshape(-1, 2)


def test_longer_buffers_leave_earlier_ones_unchanged():
    states, expected = [AppendBuffer(rows())], [[]]
    for number in range(3_000):
        states.append(states[-1].followed_by(rows(number)))
        expected.append([*expected[-1], number] if number < 20 else [])
    for state, values in list(zip(states, expected, strict=True))[:20]:
        np.testing.assert_array_equal(state.values, rows(*values))
    np.testing.assert_array_equal(states[-1].values, rows(*range(3_000)))
    memory = {id(state.values.base) for state in states}
    assert len(memory) == 4  # arrays of 0, 1,024, 2,050 and 4,102 rows


def test_two_buffers_derived_from_one_do_not_share_their_ends():
    first = AppendBuffer(rows(1, 2)).followed_by(rows(3))
    one, other = first.followed_by(rows(4)), first.followed_by(rows(5, 6))
    np.testing.assert_array_equal(first.values, rows(1, 2, 3))
    np.testing.assert_array_equal(one.values, rows(1, 2, 3, 4))
    np.testing.assert_array_equal(other.values, rows(1, 2, 3, 5, 6))
    np.testing.assert_array_equal(one.followed_by(rows(7)).values, rows(1, 2, 3, 4, 7))


def test_nobody_can_write_to_them():
    grown = AppendBuffer(rows(1)).followed_by(rows(2))
    with pytest.raises(ValueError, match="read-only"):
        grown.values[0] = 0
