"""Find equal values in a column."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64


def first_of_equals(values: Sequence[str] | Int[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """Return, for each row, the first row with an equal value."""
    column = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    _, first, inverse = np.unique(column, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)
