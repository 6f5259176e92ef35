"""Halving of batches that hold elements on which a function fails."""

import pytest

from base.halving import apply_in_halves


def inverses(numbers: list[float]) -> list[float]:
    return [1 / number for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "failed"),
    [
        ([1.0, 2.0, 4.0], []),
        ([0.0], [0]),
        ([1.0, 0.0, 4.0, 0.0, 5.0], [1, 3]),
        ([0.0, 0.0], [0, 1]),
    ],
)
def test_each_failing_element_has_the_substitute_and_all_others_their_result(numbers, failed):
    parts, positions = apply_in_halves(
        inverses, numbers, substitute=[-1.0], errors=(ZeroDivisionError,)
    )
    expected = [1 / number if number else -1.0 for number in numbers]
    assert [number for part in parts for number in part] == expected
    assert positions == failed


def test_a_batch_without_failures_is_one_call():
    parts, _ = apply_in_halves(inverses, [1.0] * 8, substitute=[], errors=(ZeroDivisionError,))
    assert len(parts) == 1


def test_one_failing_element_of_many_costs_two_calls_a_halving():
    calls = []

    def counted(numbers: list[float]) -> list[float]:
        calls.append(len(numbers))
        return inverses(numbers)

    apply_in_halves(counted, [0.0] + [1.0] * 1023, substitute=[], errors=(ZeroDivisionError,))
    assert len(calls) == 1 + 2 * 10


def test_other_errors_are_raised():
    with pytest.raises(ZeroDivisionError):
        apply_in_halves(inverses, [1.0, 0.0], substitute=[], errors=(KeyError,))


def test_a_function_that_fails_at_no_elements_is_not_called_forever():
    with pytest.raises(IndexError):
        apply_in_halves(lambda numbers: [numbers[0]], [], substitute=[], errors=(IndexError,))
