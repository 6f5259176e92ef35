"""Vectors of whatever callers want encoded."""

from collections.abc import Sequence

import numpy as np

from catalog.schema import Item
from catalog.text import item_text
from search import checks
from search.clock import Clock
from search.records import Embedded
from towers.encode import TowerEncoder


def embedded(encoder: TowerEncoder, inputs: Sequence[str | Item], clock: Clock) -> Embedded:
    """Unit vectors of queries (texts) and items, each from the tower of its kind.

    Args:
        encoder: The towers.
        inputs: What to encode.
        clock: Of the request.

    Raises:
        RequestError: an input is out of its limits.
        DeadlineExceededError: the deadline passed.
    """
    checked = checks.inputs(inputs)
    queries = {row: given for row, given in enumerate(checked) if isinstance(given, str)}
    items = {row: item_text(given) for row, given in enumerate(checked) if isinstance(given, Item)}
    vectors = np.empty((len(checked), encoder.dim), np.float32)
    for texts, encode in ((queries, encoder.queries), (items, encoder.items)):
        if texts:
            with clock.stage("encode", len(texts)):
                vectors[list(texts)] = encode(list(texts.values()))
    return Embedded(vectors, tuple(clock.stages))
