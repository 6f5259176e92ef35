"""Apply a function to a batch, and find the elements for which it fails."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

Result = TypeVar("Result")


@runtime_checkable
class Sliceable(Protocol):
    """Elements that can be counted and sliced: a list, an array, an Arrow column."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


def apply_in_halves(
    function: Callable[[Any], Result],
    batch: Sliceable,
    *,
    substitute: Result,
    errors: tuple[type[Exception], ...],
) -> tuple[list[Result], list[int]]:
    """Apply a function to a batch; on failure, halve the batch until each bad element is alone.

    Args:
        function: Takes a part of the batch. It fails if the part has a bad element.
        batch: The elements, at least one.
        substitute: The result to use for a bad element.
        errors: Exceptions that the function raises for a bad element. Others are not caught.

    Returns:
        The results of the parts in the order of the batch, and the positions of bad elements.
    """
    try:
        return [function(batch)], []
    except errors:
        if len(batch) == 1:
            return [substitute], [0]
        if not len(batch):
            raise
    middle = len(batch) // 2
    left, left_failed = apply_in_halves(
        function, batch[:middle], substitute=substitute, errors=errors
    )
    right, right_failed = apply_in_halves(
        function, batch[middle:], substitute=substitute, errors=errors
    )
    return left + right, left_failed + [middle + position for position in right_failed]
