"""Runs: the rankings of a system for each query, and their TREC files."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import Float32

from base.atomic_files import write_text

NO_ITEM = "no-item"  # stands in a run for the results of a query without results


@dataclass(frozen=True)
class Ranking:
    """A system's ranking for one query: items and their scores, best first."""

    item_ids: Sequence[str]
    scores: Float32[np.ndarray, "items"]


def write_run(path: Path, rankings: Mapping[str, Ranking], system: str) -> None:
    """Write one TREC run: lines of `query_id Q0 item_id rank score system`.

    If two scores are equal, the later score is lowered to the next smaller float32. Otherwise, TREC
    tools would order equal scores in their own way. White space inside an id is percent-encoded.
    A query without results has one line, with the item `NO_ITEM`. Otherwise, TREC tools would leave
    the query out of their means.

    Args:
        path: The file to write, atomically.
        rankings: The ranking of each query id.
        system: The tag in the last column.
    """
    lines = []
    for query_id, ranking in rankings.items():
        if not ranking.item_ids:
            lines.append(f"{_word(query_id)} Q0 {NO_ITEM} 1 0 {system}\n")
        previous = np.float32(np.inf)
        for rank, (item_id, score) in enumerate(
            zip(ranking.item_ids, ranking.scores, strict=True), start=1
        ):
            previous = min(score, np.nextafter(previous, np.float32(-np.inf)))
            lines.append(f"{_word(query_id)} Q0 {_word(item_id)} {rank} {previous:.9g} {system}\n")
    write_text(path, "".join(lines))


def _word(identifier: str) -> str:
    return re.sub(r"\s", lambda space: quote(space[0]), identifier)
