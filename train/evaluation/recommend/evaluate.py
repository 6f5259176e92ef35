"""Evaluate recommendations on a dataset's purchases: fit before each cut, measure after it."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time
from itertools import product
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from rich.console import Console

from base.atomic_files import write_text
from base.errors import InputError
from behaviour.cases import Case, cold_item_case, cold_user_cases, window_case, withheld_items
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from bert.params import DEFAULT_PRETRAINED
from catalog.dataset.reading import Dataset
from rerank.recommend.recommender import Recommender
from train.evaluation.metrics import bootstrap
from train.evaluation.recommend.kept import Kept, Runs
from train.evaluation.recommend.metrics import (
    DEPTH,
    TargetRanks,
    all_metrics,
    coverage,
    novelty,
    top_items,
)
from train.evaluation.recommend.report import CaseReport, Measured
from train.evaluation.recommend.systems import RANKED, System, baselines, stages
from train.recommend.fits import Fits
from train.recommend.recommender import Lessons
from train.recommend.windows import COLD_SHOWN, Catalogue, RecommenderConfig

logger = logging.getLogger(__name__)

_BATCH = 1_000  # users scored at a time
_COLD_USERS = "new users after {} items"
_COLD_ITEMS, _WARM_ITEMS = "withheld items", "items not withheld"


@dataclass(frozen=True)
class RecommendConfig:
    """Evaluate recommendations: fit on the purchases before each cut, measure on those after it."""

    data: str  # dataset directory with events
    # first day after the events that models may read, such as 2024-03-01; several cuts are pooled;
    # none: `days` before the last event
    cuts: tuple[str, ...] = ()
    days: int = 30  # days after a cut whose purchases are the right answers
    seeds: int = 1  # trainings of the ranker per cut; their results are averaged
    # share of the items whose purchases models may not read, chosen by a hash of the item id; the
    # report then also has the cases of withheld items; 0: no such case
    cold_items: float = 0.0
    # weights of the text encoder: model name, directory or bundle; none: no channel similar_text
    init_from: str = DEFAULT_PRETRAINED
    # keep the measurements of each finished part in this directory, and continue from them
    resume: Path | None = None
    json: Path | None = None  # write the report to this JSON file
    recommender: RecommenderConfig = field(default_factory=RecommenderConfig)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            InputError: a number is out of range, or a cut is not a date.
        """
        if min(self.days, self.seeds) < 1:
            raise InputError("evaluate: --days and --seeds are at least 1")
        if not 0 <= self.cold_items < 1:
            raise InputError(
                f"evaluate: --cold-items {self.cold_items} is not at least 0 and below 1"
            )
        for cut in self.cuts:
            seconds(cut)


@runtime_checkable
class Peers(Protocol):
    """Fits further systems to compare with."""

    def __call__(
        self, case: Case, lessons: Lessons, recommender: Recommender, seed: int
    ) -> Mapping[str, System]:
        """Return systems by name; those without randomness only for seed 0.

        Args:
            case: A case of the cut, with the events that models may read.
            lessons: What our stages learned from.
            recommender: Our recommender, fitted with the seed.
            seed: Seed of the systems.
        """


def _no_peers(
    case: Case, lessons: Lessons, recommender: Recommender, seed: int
) -> Mapping[str, System]:
    del case, lessons, recommender, seed
    return {}


def evaluate_recommendations(
    dataset: Dataset, catalogue: Catalogue, config: RecommendConfig, peers: Peers = _no_peers
) -> dict[str, CaseReport]:
    """Evaluate on a dataset, and return the report of each kind of case.

    Args:
        dataset: The dataset with the purchases.
        catalogue: What is known of the items besides their events.
        config: Cuts, cases and settings of the recommender.
        peers: Fits further systems at each cut.

    Raises:
        InputError: the dataset has no purchases, or none before the windows of a cut.
    """
    item_ids = dataset.items["item_id"].to_pylist()
    if dataset.events is None:
        raise InputError(f"{dataset.info.name}: no events; add a file events with purchases")
    events = Interactions.of_events(dataset.events, item_ids).of_types("purchase")
    if not len(events):
        raise InputError(f"{dataset.info.name}: no event has the type purchase")
    cuts = [seconds(cut) for cut in config.cuts]
    cuts = cuts or [int(events.time.max()) + 1 - config.days * SECONDS_PER_DAY]
    kept = Kept(config.resume, _settings(dataset, config, peers))
    runs: Runs = {}
    fits = Fits(events, catalogue, config.recommender)
    seeds = range(config.seeds)
    for new_items, cut, seed in product((True, False), cuts, seeds):
        _join(runs, _run(kept, fits, cut, seed, config, new_items, peers))
    if config.cold_items:
        withheld = withheld_items(item_ids, config.cold_items)
        known = Fits(events.select(~withheld[events.item]), catalogue, config.recommender)
        for cut, seed in product(cuts, seeds):
            _join(runs, _run_cold_items(kept, events, known, cut, seed, config, withheld))
    return {name: CaseReport.of(systems, RANKED) for name, systems in runs.items()}


def _settings(dataset: Dataset, config: RecommendConfig, peers: Peers) -> dict[str, Any]:
    """Return what the measurements depend on; seeds, cuts and withheld items may be added."""
    added = ("seeds", "cuts", "resume", "json", "cold_items")
    options = {name: value for name, value in asdict(config).items() if name not in added}
    return {
        "options": options,
        "dataset": dataset.fingerprint,
        "peers": peers is not _no_peers,
    }


def print_reports(reports: Mapping[str, CaseReport], console: Console | None = None) -> None:
    """Print one table per kind of case, to standard output by default."""
    console = console or Console()
    for name, report in reports.items():
        console.print(report.table(name))


def write_reports(reports: Mapping[str, CaseReport], config: RecommendConfig, path: Path) -> None:
    """Write the reports as JSON, atomically."""
    content: dict[str, Any] = {"cuts": config.cuts, "days": config.days, "seeds": config.seeds}
    content["cases"] = {name: report.to_json() for name, report in reports.items()}
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def seconds(day: str) -> int:
    """Return the start of a day, such as 2024-03-01, in seconds since 1970 (UTC).

    Raises:
        InputError: the text is not a date.
    """
    try:
        return int(datetime.combine(date.fromisoformat(day), time(), UTC).timestamp())
    except ValueError as error:
        raise InputError(f"evaluate: --cuts {day!r} is not a date such as 2024-03-01") from error


def measure(case: Case, system: System) -> Measured:
    """Compute the metrics of one system in a case; it scores a batch of users at a time."""
    users, ranks, tops = case.histories.users, [], []
    for start in range(0, max(users, 1), _BATCH):
        batch = case.of_users(np.arange(start, min(start + _BATCH, users)))
        scores = batch.masked(system(batch))
        ranks.append(TargetRanks.of(scores, batch.targets))
        tops.append(top_items(scores, DEPTH))
    top, metrics = np.concatenate(tops), all_metrics(TargetRanks.concatenate(ranks))
    counts = np.bincount(case.past.item, minlength=case.past.items).astype(np.float32)
    return Measured(
        case.histories.user_ids,
        {**metrics, "novelty": novelty(top, counts)},
        coverage(top, case.past.items),
    )


def cases_of(events: Interactions, cut: int, days: int, *, new_items: bool) -> dict[str, Case]:
    """Return the cases of a cut by name."""
    what = "new items" if new_items else "all items"
    cases = {
        f"{basket}, {what}": window_case(events, cut, days, first_basket=first, new_items=new_items)
        for basket, first in (("first basket", True), ("window", False))
    }
    if new_items:
        new_users = cold_user_cases(events, cut, days, COLD_SHOWN, seed=0)
        cases |= {_COLD_USERS.format(k): c for k, c in zip(COLD_SHOWN, new_users, strict=True)}
    return cases


def _run(
    kept: Kept,
    fits: Fits,
    cut: int,
    seed: int,
    config: RecommendConfig,
    new_items: bool,
    peers: Peers,
) -> Runs:
    """Measure all systems in the cases of a cut, or return the measurements that are kept."""
    name = f"{_day(cut)}-{'new' if new_items else 'all'}-{seed}"
    if (runs := kept.part(name)) is not None:
        return runs
    cases = cases_of(fits.events, cut, config.days, new_items=new_items)
    first = next(iter(cases.values()))
    recommender = fits.recommender(cut, seed, new_items=new_items)
    systems = {} if seed else dict(baselines(first))
    systems |= stages(recommender)
    systems |= peers(first, fits.lessons(cut, new_items=new_items), recommender, seed)
    runs = _measured(cases, systems, name)
    kept.keep(name, runs)
    return runs


def _run_cold_items(
    kept: Kept,
    events: Interactions,
    fits: Fits,
    cut: int,
    seed: int,
    config: RecommendConfig,
    withheld: np.ndarray,
) -> Runs:
    """Measure withheld items, of which models read no event, and all other items beside them."""
    name = f"{_day(cut)}-withheld-{config.cold_items}-{seed}"
    if (runs := kept.part(name)) is not None:
        return runs
    case = window_case(events, cut, config.days, first_basket=True, new_items=True)
    cold = cold_item_case(case, withheld)
    warm = cold_item_case(case, ~withheld)
    cases = {
        _COLD_ITEMS: cold,
        _WARM_ITEMS: Case(cut, cold.past, cold.histories, warm.targets, case.excluded),
    }
    systems = {} if seed else dict(baselines(cold))
    systems |= stages(fits.recommender(cut, seed, new_items=True))
    runs = _measured(cases, systems, name)
    kept.keep(name, runs)
    return runs


def _measured(cases: Mapping[str, Case], systems: Mapping[str, System], part: str) -> Runs:
    """Measure systems in cases, and log each result."""
    runs: Runs = {}
    for name, case in cases.items():
        for system, score in systems.items():
            measured = measure(case, score)
            runs.setdefault(name, {})[system] = [measured]
            values = (measured.metrics[metric] for metric in ("recall@20", "ndcg@20"))
            shown = (bootstrap(of_users, resamples=1).mean for of_users in values)
            logger.info(
                "part=%s case=%r system=%s recall@20=%.4f ndcg@20=%.4f",
                part,
                name,
                system,
                *shown,
            )
    return runs


def _join(runs: Runs, more: Runs) -> None:
    """Add the measurements of a part to those of other parts."""
    for case, systems in more.items():
        for system, measured in systems.items():
            runs.setdefault(case, {}).setdefault(system, []).extend(measured)


def _day(cut: int) -> str:
    return datetime.fromtimestamp(cut, UTC).date().isoformat()
