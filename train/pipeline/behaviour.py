"""The training step `behaviour`: counts of what people do, for recommendations.

The files have no ids of users. Items have no numbers here but those of `items.npz`, because the
rows of a catalogue change with writes and compactions.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from base.errors import InputError
from behaviour.interactions import Interactions
from behaviour.models.cooccurrence import CooccurrenceConfig, fit_cooccurrence
from behaviour.models.ease import EaseConfig, fit_ease
from behaviour.models.item_to_item import HistoryDecay, ItemToItem
from catalog.store import ItemStore
from rerank.recommend.recommender import save_recommenders
from search.channels.also_bought import BY_BASKET, BY_PERSON
from search.channels.model_items import write_item_ids
from search.channels.popular_counts import PopularCounts, segment
from search.channels.similarity import Similarity
from search.recommending.learned import RECOMMENDER
from towers.vectors import Vectors
from train.recommend.fits import Fits
from train.recommend.windows import Catalogue, RecommenderConfig, known_lists

logger = logging.getLogger(__name__)

_BOUGHT = ("purchase", "add_to_cart")
_SEEN = ("click", "view")  # counted if nobody bought anything


@dataclass(frozen=True)
class BehaviourConfig:
    """How events are counted for recommendations."""

    # only events before this day (UTC) count, such as 2024-01-31; "" counts all events
    before: str = ""
    half_life_days: float = 45.0  # age at which an event counts one half among items of one person
    basket_half_life_days: float = 180.0  # the same, among items of one basket
    popular_half_life_days: float = 7.0  # the same, for the popularity of items
    # with at most this number of items that have events, weights between items come from EASE;
    # with more, from co-occurrence, which needs less memory
    max_ease_items: int = 8_000
    ease_penalty: float = 100.0  # weight of the squared weights in the loss of EASE
    neighbours: int = 500  # number of weights that are kept per item
    # fewest lists of people with a history to learn the order of the home page from; with fewer,
    # fixed weights order it
    min_lists: int = 1_000
    max_recommender_items: int = 100_000  # with more items, fixed weights order the home page, too
    # a segment, such as a country, is counted if it has at least this number of events
    min_segment_events: int = 500
    # largest number of segments; those with the most events are counted. The counts of a segment
    # take 4 bytes per item of the catalogue, in training and in the server
    max_segments: int = 50

    def __post_init__(self) -> None:
        """Check that every value is within its limits.

        Raises:
            InputError: a value is out of its limits.
        """
        if self.before:
            _midnight(self.before)
        for name in ("half_life_days", "basket_half_life_days", "popular_half_life_days"):
            if getattr(self, name) <= 0:
                raise InputError(f"behaviour: {name} is {getattr(self, name)}; give more than 0")
        if self.ease_penalty <= 0:
            raise InputError(f"behaviour: ease_penalty is {self.ease_penalty}; give more than 0")
        if self.max_segments < 0:
            raise InputError(f"behaviour: max_segments is {self.max_segments}; give 0 or more")
        if self.neighbours < 1:
            raise InputError(f"behaviour: neighbours is {self.neighbours}; give 1 or more")


def fit_behaviour(
    directory: Path,
    events: pa.Table | None,
    store: ItemStore,
    vectors: Vectors,
    config: BehaviourConfig,
    recommender: RecommenderConfig | None = None,
) -> Mapping[str, Any]:
    """Count the events of people, and write the counts.

    Args:
        directory: The directory of the step.
        events: The events that training may use; None without events.
        store: The items.
        vectors: The unit vectors of the items.
        config: How events are counted.
        recommender: How the order of the home page is learned; None for the defaults.

    Returns:
        The report: the number of events, and the kind of model.
    """
    write_item_ids(list(store.ids), directory)
    Similarity.measure(vectors).write(directory)
    counted = _counted(events, config)
    past = None if counted is None else _interactions(counted, store)
    report: dict[str, Any] = {"events": 0, "model": "none"}
    nothing = sparse.csr_matrix((len(store), len(store)), dtype=np.float32)
    by_person = by_basket = ItemToItem(nothing, HistoryDecay())
    if past is not None:
        now = int(past.time.max()) + 1
        report = {"events": len(past), "people": past.users}
        report["model"], by_person = _by_person(past, now, config)
        by_basket = fit_cooccurrence(
            past,
            now,
            CooccurrenceConfig(
                together="session",
                half_life_days=config.basket_half_life_days,
                history=HistoryDecay(),
                neighbours=config.neighbours,
            ),
        )
    by_person.save(directory / BY_PERSON)
    by_basket.save(directory / BY_BASKET)
    counts = _popular(counted, store, config)
    counts.write(directory)
    if past is not None:
        report["home"] = _learn_home(
            directory, past, now, store, vectors, config, recommender or RecommenderConfig()
        )
    return {**report, "segments": len(counts.rows)}


def events_before(events: pa.Table, day: str) -> pa.Table:
    """Return the events before a day (UTC), such as 2024-01-31; "" returns all events."""
    if not day:
        return events
    return events.filter(pc.less(events["time"], pa.scalar(_midnight(day), events["time"].type)))


def _counted(events: pa.Table | None, config: BehaviourConfig) -> pa.Table | None:
    """Return the events that count; None if there are none."""
    if events is None:
        return None
    events = events_before(events, config.before)
    for types in (_BOUGHT, _SEEN):
        chosen = events.filter(
            pc.is_in(events["type"], value_set=pa.array(types, pa.large_string()))
        )
        if len(chosen):
            return chosen
    return None


def _interactions(events: pa.Table, store: ItemStore) -> Interactions | None:
    try:
        return Interactions.of_events(events, store.ids)
    except InputError:  # no event has a known item and a person
        logger.info("no event has a user or a session: items have only their popularity")
        return None


def _by_person(past: Interactions, now: int, config: BehaviourConfig) -> tuple[str, ItemToItem]:
    """Return the kind of model, and its weights between items that one person has."""
    half_life, neighbours = config.half_life_days, config.neighbours
    if len(np.unique(past.item)) > config.max_ease_items:
        counts = CooccurrenceConfig(
            half_life_days=half_life, history=HistoryDecay(), neighbours=neighbours
        )
        return "cooccurrence", fit_cooccurrence(past, now, counts)
    ease = EaseConfig(
        config.ease_penalty, half_life, HistoryDecay(), config.max_ease_items, neighbours
    )
    return "ease", fit_ease(past, now, ease)


def _learn_home(
    directory: Path,
    past: Interactions,
    now: int,
    store: ItemStore,
    vectors: Vectors,
    config: BehaviourConfig,
    recommender: RecommenderConfig,
) -> str:
    """Fit what orders the home page, if there is enough to learn from; return what was chosen."""
    if len(store) > config.max_recommender_items:
        return f"fixed weights: more than {config.max_recommender_items:,} items"
    lists = known_lists(past, now, recommender)
    if lists < config.min_lists:
        return f"fixed weights: {lists:,} lists to learn from are fewer than {config.min_lists:,}"
    prices = store.number("price").astype(np.float32)
    unit = vectors[np.arange(len(store))]
    fits = Fits(past, Catalogue(prices, unit), recommender)
    made = {kind: fits.recommender(now, 0, new_items=kind) for kind in (True, False)}
    (directory / RECOMMENDER).mkdir()
    save_recommenders(made, directory / RECOMMENDER)
    return fits.choices[now, False].line()


def _popular(events: pa.Table | None, store: ItemStore, config: BehaviourConfig) -> PopularCounts:
    """Count the events of each item, in all and in each segment of the events' context."""
    if events is None:
        return PopularCounts({}, np.zeros((1, len(store)), np.float32))
    rows = store.rows(events["item_id"].to_pylist())
    seconds = pc.cast(events["time"], pa.timestamp("s", "UTC"), safe=False).cast(pa.int64())
    days = (seconds.to_numpy() - pc.max(seconds).as_py()) / 86_400
    weights = np.exp2(days / config.popular_half_life_days)
    sold = pc.fill_null(pc.greater_equal(events["quantity"], 0), fill_value=True).to_numpy()
    weights = np.where(sold & (rows >= 0), weights, 0)  # returned goods do not count
    counts = [_shares(rows, weights, len(store))]
    numbers: dict[str, int] = {}
    for name, positions in sorted(_segments(events, config).items()):
        numbers[name] = len(counts)
        counts.append(_shares(rows[positions], weights[positions], len(store)))
    return PopularCounts(numbers, np.stack(counts))


def _shares(rows: np.ndarray, weights: np.ndarray, items: int) -> np.ndarray:
    """Return the sum of each item's weights, divided by the best sum."""
    sums = np.bincount(np.maximum(rows, 0), weights, items)
    return np.asarray(sums / max(sums.max(initial=0), np.finfo(np.float32).tiny), np.float32)


def _segments(events: pa.Table, config: BehaviourConfig) -> dict[str, np.ndarray]:
    """Return the positions of the events of each segment that is counted."""
    if "context" not in events.column_names:
        return {}
    positions: dict[str, list[int]] = {}
    for position, context in enumerate(events["context"].to_pylist()):
        for name, value in context or ():
            positions.setdefault(segment(name, value), []).append(position)
    large = [each for each in positions.items() if len(each[1]) >= config.min_segment_events]
    large.sort(key=lambda each: (-len(each[1]), each[0]))
    if len(large) > config.max_segments:
        logger.warning(
            "%d segments have %d events or more; counting the %d with the most events "
            "(behaviour.max_segments)",
            len(large),
            config.min_segment_events,
            config.max_segments,
        )
    return {name: np.array(numbers) for name, numbers in large[: config.max_segments]}


def _midnight(day: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    except ValueError:
        raise InputError(f"behaviour: before is {day!r}; give a day such as 2024-01-31") from None
