"""Predict the last item of published sequences with the Markov counter and EASE.

    python -m bench.quality.recommend.sequences --data $SHORTLIST_DATA/s3rec/Beauty.txt.gz

A line of the file is a user id and then the ids of the user's items in order. The score of an item
is its share of the user's best score by the Markov counter, plus the weighted share by EASE. The
program chooses the settings on each user's next-to-last item, with models that read all earlier
items. Then it reports once on the last item: Recall@10 and nDCG@10. All items are ranked but those
of the user's history, and ties are averaged.
"""

import gzip
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float32, Float64

from base.errors import InputError
from behaviour.cases import Case, leave_one_out_case
from behaviour.interactions import Interactions
from behaviour.models.ease import EaseConfig, fit_ease
from behaviour.models.item_to_item import HistoryDecay, ItemToItem
from behaviour.models.markov import MarkovConfig, fit_markov
from catalog.events import EVENT_TYPES
from train.evaluation.metrics import bootstrap
from train.evaluation.recommend.metrics import TargetRanks, ndcg, recall

_BATCH = 1_000  # users scored at a time
_EASE = EaseConfig(150.0, None, HistoryDecay(half_life_sessions=8.0), 12_500, neighbours=2_000)
_K = 10
Measured = tuple[Float64[np.ndarray, " users"], Float64[np.ndarray, " users"]]


@dataclass(frozen=True)
class SequencesConfig:
    """Options of `python -m bench.quality.recommend.sequences`."""

    data: Path  # a text file, or the same compressed by gzip
    gaps: tuple[int, ...] = (10, 30)  # largest numbers of steps of a pair to try
    backward: tuple[float, ...] = (0.15, 0.3, 0.6)  # weights of backward pairs to try
    half_lives: tuple[float, ...] = (1.0, 1.5, 2.0)  # half-lives of histories to try, in items
    ease_weights: tuple[float, ...] = (0.0, 0.3, 0.6)  # weights of EASE to try


@dataclass(frozen=True)
class Chosen:
    """The settings of a model."""

    gap: int
    backward: float
    half_life: float
    ease_weight: float


def main(config: SequencesConfig) -> None:
    """Choose the settings on the next-to-last items, and report on the last items."""
    sequences = read_sequences(config.data)
    before, last = leave_one_out_case(sequences, 1), leave_one_out_case(sequences, 0)
    chosen = choose(before, config)
    sys.stdout.write(f"chosen on the next-to-last item: {chosen}\n")
    for name, case in (("next to last", before), ("last", last)):
        ease = fit_ease(case.past, case.now, _EASE)
        found, gain = measure(case, _markov(case, chosen), ease, chosen.ease_weight)
        shown = (f"{x.mean:.4f} [{x.low:.4f}, {x.high:.4f}]" for x in map(bootstrap, (found, gain)))
        sys.stdout.write(f"{name}: R@{_K} / N@{_K} {' / '.join(shown)}\n")


def choose(case: Case, config: SequencesConfig) -> Chosen:
    """Return the settings with the best mean nDCG@10."""
    ease = fit_ease(case.past, case.now, _EASE)
    values: dict[Chosen, float] = {}
    for settings in product(config.gaps, config.backward, config.half_lives, config.ease_weights):
        chosen = Chosen(*settings)
        gain = measure(case, _markov(case, chosen), ease, chosen.ease_weight)[1]
        values[chosen] = float(np.nanmean(gain))
    return max(values, key=lambda chosen: values[chosen])


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


def measure(case: Case, markov: ItemToItem, ease: ItemToItem, ease_weight: float) -> Measured:
    """Return Recall@10 and nDCG@10 of each user."""
    parts = []
    for start in range(0, case.histories.users, _BATCH):
        batch = case.of_users(np.arange(start, min(start + _BATCH, case.histories.users)))
        scores = _shares(markov.scores(batch.histories, case.now))
        if ease_weight:
            shares = _shares(ease.scores(batch.histories, case.now))
            scores = scores + np.float32(ease_weight) * shares
        parts.append(TargetRanks.of(batch.masked(scores), batch.targets))
    ranks = TargetRanks.concatenate(parts)
    return recall(ranks, _K), ndcg(ranks, _K)


def _markov(case: Case, chosen: Chosen) -> ItemToItem:
    decay = HistoryDecay(half_life_sessions=chosen.half_life)
    config = MarkovConfig(chosen.gap, chosen.backward, history=decay, neighbours=case.past.items)
    return fit_markov(case.past, case.now, config)


def _shares(scores: Float32[np.ndarray, "users items"]) -> Float32[np.ndarray, "users items"]:
    best = scores.max(axis=1, keepdims=True, initial=0)
    return np.divide(scores, best, out=np.zeros_like(scores), where=best > 0)


if __name__ == "__main__":
    main(tyro.cli(SequencesConfig, prog="python -m bench.quality.recommend.sequences"))
