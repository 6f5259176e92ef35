"""Predict the last item of published sequences with the Markov counter.

    python -m bench.quality.recommend.sequences --data $SHORTLIST_DATA/s3rec/Beauty.txt.gz

A line of the file is a user id and then the ids of the user's items in order. The program chooses
the settings on each user's next-to-last item, with models that read all earlier items. Then it
reports once on the last item: Recall@10 and nDCG@10. All items are ranked but those of the user's
history, and ties are averaged.
"""

import gzip
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64

from base.errors import InputError
from behaviour.cases import Case, leave_one_out_case
from behaviour.interactions import Interactions
from behaviour.models.item_to_item import HistoryDecay, ItemToItem
from behaviour.models.markov import MarkovConfig, fit_markov
from catalog.events import EVENT_TYPES
from train.evaluation.metrics import bootstrap
from train.evaluation.recommend.metrics import TargetRanks, ndcg, recall

_BATCH = 1_000  # users scored at a time
_K = 10
Measured = tuple[Float64[np.ndarray, " users"], Float64[np.ndarray, " users"]]


@dataclass(frozen=True)
class SequencesConfig:
    """Options of `python -m bench.quality.recommend.sequences`."""

    data: Path  # a text file, or the same compressed by gzip
    gaps: tuple[int, ...] = (3, 10)  # largest numbers of steps of a pair to try
    backward: tuple[float, ...] = (0.0, 0.3, 0.6)  # weights of backward pairs to try
    half_lives: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0)  # half-lives of histories to try, in items
    exponents: tuple[float, ...] = (0.5,)  # exponents of row sums to try


def main(config: SequencesConfig) -> None:
    """Choose the settings on the next-to-last items, and report on the last items."""
    sequences = read_sequences(config.data)
    before, last = leave_one_out_case(sequences, 1), leave_one_out_case(sequences, 0)
    chosen, best = None, -1.0
    for model_config, model in _models(before, config):
        for half_life in config.half_lives:
            decay = HistoryDecay(half_life_sessions=half_life)
            gain = measure(before, ItemToItem(model.weights, decay))[1]
            if np.nanmean(gain) > best:
                chosen, best = (model_config, decay), float(np.nanmean(gain))
    assert chosen is not None
    model_config, decay = chosen
    sys.stdout.write(f"chosen on the next-to-last item: {model_config} {decay}\n")
    for name, case in (("next to last", before), ("last", last)):
        model = fit_markov(case.past, case.now, model_config)
        found, gain = measure(case, ItemToItem(model.weights, decay))
        shown = (f"{x.mean:.4f} [{x.low:.4f}, {x.high:.4f}]" for x in map(bootstrap, (found, gain)))
        sys.stdout.write(f"{name}: R@{_K} / N@{_K} {' / '.join(shown)}\n")


def read_sequences(path: Path) -> Interactions:
    """Read the sequences of a file; each item is a session of its own.

    Raises:
        InputError: a line is not a user id followed by item ids.
    """
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    lines = [line.split() for line in text.splitlines()]
    short = [number for number, words in enumerate(lines, start=1) if len(words) < 4]
    if short:
        raise InputError(f"{path}: line {short[0]} has no user id with at least three items")
    lengths = np.array([len(words) - 1 for words in lines])
    ids, item = np.unique([word for words in lines for word in words[1:]], return_inverse=True)
    user = np.repeat(np.arange(len(lines)), lengths)
    place = np.arange(len(item)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    purchase = np.full(len(item), EVENT_TYPES.index("purchase"))
    users = [words[0] for words in lines]
    numbers = np.arange(len(item))
    return Interactions.sorted_by_time(users, len(ids), user, item, purchase, place, numbers)


def measure(case: Case, model: ItemToItem) -> Measured:
    """Return Recall@10 and nDCG@10 of each user."""
    parts = []
    for start in range(0, case.histories.users, _BATCH):
        batch = case.of_users(np.arange(start, min(start + _BATCH, case.histories.users)))
        scores = batch.masked(model.scores(batch.histories, case.now))
        parts.append(TargetRanks.of(scores, batch.targets))
    ranks = TargetRanks.concatenate(parts)
    return recall(ranks, _K), ndcg(ranks, _K)


def _models(case: Case, config: SequencesConfig) -> Iterator[tuple[MarkovConfig, ItemToItem]]:
    for gap, backward, exponent in product(config.gaps, config.backward, config.exponents):
        one = MarkovConfig(gap, backward, row_exponent=exponent, neighbours=case.past.items)
        yield one, fit_markov(case.past, case.now, one)


if __name__ == "__main__":
    main(tyro.cli(SequencesConfig, prog="python -m bench.quality.recommend.sequences"))
