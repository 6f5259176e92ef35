"""Evaluate a bundle on the events of searches with exploration, without serving it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from base.atomic_files import write_text
from base.errors import InputError
from search.config import EngineConfig
from train.evaluation.metrics import Interval
from train.evaluation.policy.estimates import Estimates, Logged, estimate
from train.evaluation.policy.rewards import Results, RewardModel
from train.evaluation.report import plain

_FOLDS = 2  # each request is predicted by a model that has not seen it
_PLACE = ("request_id", "position", "item_id")  # of an impression
_NAMES = {"logged": "as logged", "ips": "IPS", "snips": "SNIPS", "doubly_robust": "doubly robust"}


@dataclass(frozen=True)
class PolicyConfig:
    """Estimate how a bundle would have done, from the events of searches with exploration."""

    data: str  # dataset directory with events that have propensities
    bundle: Path = Path("out/bundle")  # the bundle whose lists are evaluated
    # the event that is a reward of 1
    outcome: Literal["click", "add_to_cart", "purchase"] = "click"
    positions: int = 10  # number of positions from the top that count
    json: Path | None = None  # write the report to this JSON file
    engine: EngineConfig = field(default_factory=EngineConfig)  # request defaults, numerics

    def __post_init__(self) -> None:
        """Check the number of positions.

        Raises:
            InputError: the number is out of range.
        """
        if not 1 <= self.positions <= 100:
            raise InputError(f"evaluate: --positions {self.positions}: give 1 to 100")


def evaluate_policy(
    events: pa.Table | None,
    list_of: Callable[[str], Sequence[str]],
    outcome: str,
    positions: int,
) -> Estimates:
    """Estimate how lists would have done.

    Args:
        events: The table `events` of a dataset.
        list_of: Returns the item ids of the target's list for a query, best first.
        outcome: The type of event that is a reward of 1.
        positions: Number of positions from the top that count.

    Raises:
        InputError: no impression at position 1 has a query, a request_id and a propensity.
    """
    shown, rewarded = _shown(events, positions), _rewarded(events, outcome)
    request_ids, request = np.unique(shown["request_id"].to_numpy(False), return_inverse=True)
    items = shown["item_id"].to_pylist()
    reward = np.array(
        [pair in rewarded for pair in zip(shown["request_id"].to_pylist(), items, strict=True)]
    )
    query_of = dict(zip(request.tolist(), shown["query"].to_pylist(), strict=True))
    lists = {query: tuple(list_of(query))[:positions] for query in set(query_of.values())}
    position = shown["position"].to_numpy().astype(np.int64) - 1
    targets = [lists[query_of[index]] for index in range(len(request_ids))]
    is_target = np.array(
        [
            at < len(targets[index]) and targets[index][at] == item
            for index, at, item in zip(request.tolist(), position.tolist(), items, strict=True)
        ]
    )
    codes = _Codes()
    of_shown = codes.results([query_of[n] for n in request.tolist()], items, position)
    rows = [(n, at, item) for n, of in enumerate(targets) for at, item in enumerate(of)]
    of_target = codes.results(
        [query_of[n] for n, _, _ in rows],
        [item for _, _, item in rows],
        np.array([at for _, at, _ in rows], np.int64),
    )
    target_request = np.array([n for n, _, _ in rows], np.int64)
    predicted, expected = np.zeros(len(request)), np.zeros(len(request_ids))
    for fold in range(_FOLDS):
        model = RewardModel.fit(
            of_shown, reward.astype(float), request % _FOLDS != fold, codes.item_of_pair, positions
        )
        own = request % _FOLDS == fold
        predicted[own] = model.predict(of_shown)[own]
        of_fold = target_request % _FOLDS == fold
        expected += np.bincount(
            target_request[of_fold], model.predict(of_target)[of_fold], len(request_ids)
        )
    filled = np.bincount(of_target.position, minlength=positions) / len(request_ids)
    return estimate(
        Logged(
            request.astype(np.int64),
            position,
            reward.astype(float),
            shown["propensity"].to_numpy(),
            is_target.astype(float),
            predicted,
            expected,
            filled,
        )
    )


def print_estimates(estimates: Estimates, outcome: str, console: Console | None = None) -> None:
    """Print the estimates, to standard output by default."""
    console = console or Console()
    table = Table(title=f"{outcome} events per search, from {estimates.logged.queries:,} searches")
    for column in ("estimate", "value", "95% interval"):
        table.add_column(column, justify="right" if column != "estimate" else "left")
    for name, title in _NAMES.items():
        interval: Interval = getattr(estimates, name)
        ends = f"{interval.low:.4f} to {interval.high:.4f}"
        table.add_row(title, f"{interval.mean:.4f}", ends)
    console.print(table)
    console.print(
        f"effective sample size: {estimates.effective_size:,.0f} results; "
        f"support: {estimates.support:.0%}"
    )
    if estimates.warning:
        console.print(f"warning: {estimates.warning}")


def write_estimates(estimates: Estimates, path: Path) -> None:
    """Write the estimates as JSON, atomically."""
    content: dict[str, Any] = {name: plain(getattr(estimates, name)) for name in _NAMES}
    content |= {
        "effective_size": estimates.effective_size,
        "support": estimates.support,
        "warning": estimates.warning,
    }
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _shown(events: pa.Table | None, positions: int) -> pa.Table:
    """Return the impressions that estimates can use, each once.

    A search without an impression at position 1 is left out: it is a later page, which is a call of
    its own, or its impressions are not whole.
    """
    needed = ("query", "request_id", "position", "propensity")
    if events is not None:
        usable = pc.equal(events["type"], "impression")
        for name in needed:
            usable = pc.and_(usable, pc.is_valid(events[name]))
        shown = events.filter(usable)
        shown = shown.filter(pc.less_equal(shown["position"], positions))
        places = zip(*(shown[name].to_pylist() for name in _PLACE), strict=True)
        rows = {place: row for row, place in reversed(list(enumerate(places)))}
        whole = {request for request, position, _ in rows if position == 1}
        kept = sorted(row for place, row in rows.items() if place[0] in whole)
        shown = shown.take(pa.array(kept, pa.int64()))
        if len(shown):
            return shown
    raise InputError(
        "events: no impression at position 1 has a query, a request_id and a propensity; record "
        "the impressions of searches with exploration"
    )


def _rewarded(events: pa.Table | None, outcome: str) -> set[tuple[str, str]]:
    """Return the request and the item of each event of a type."""
    assert events is not None  # it has impressions
    table = events.filter(pc.equal(events["type"], outcome))
    pairs = zip(table["request_id"].to_pylist(), table["item_id"].to_pylist(), strict=True)
    return {pair for pair in pairs if pair[0]}


class _Codes:
    """Numbers for items, and for pairs of a query and an item."""

    def __init__(self) -> None:
        self._items: dict[str, int] = {}
        self._pairs: dict[tuple[str, str], int] = {}

    def results(
        self, queries: Sequence[str], items: Sequence[str], position: np.ndarray
    ) -> Results:
        """Return results with the codes of their items and pairs."""
        item = [_code(self._items, each) for each in items]
        pair = [_code(self._pairs, each) for each in zip(queries, items, strict=True)]
        return Results(np.array(item, np.int64), np.array(pair, np.int64), position)

    @property
    def item_of_pair(self) -> np.ndarray:
        """The code of the item of each pair."""
        return np.array([self._items[item] for _, item in self._pairs], np.int64)


def _code(codes: dict[Any, int], key: Any) -> int:
    return codes.setdefault(key, len(codes))
