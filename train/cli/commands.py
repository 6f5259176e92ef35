"""The commands of `python -m train`."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc
from rich.console import Console

from base.errors import InputError, RequestError
from catalog.dataset.problems import quote
from catalog.dataset.reading import read_dataset
from search.bundle import Manifest
from search.config import EngineConfig
from search.engine import Engine
from search.request import SearchRequest
from train.data.event_files import export_events, import_events
from train.evaluation.evaluate import collect_runs, evaluate, print_report, write_report
from train.evaluation.guard import lines_of
from train.evaluation.policy.evaluate import (
    PolicyConfig,
    evaluate_policy,
    print_estimates,
    write_estimates,
)
from train.evaluation.recommend.evaluate import (
    RecommendConfig,
    evaluate_recommendations,
    print_reports,
    write_reports,
)
from train.evaluation.report import Report
from train.loop.fit import FitConfig
from train.people.peer import UserTowerPeer
from train.people.training import PEOPLE_FIT, PeopleConfig
from train.pipeline.bundle import record_metrics
from train.pipeline.inputs import dataset_directory
from train.pipeline.options import DEMO, TrainConfig
from train.pipeline.run import TrainingRun
from train.pipeline.texts import catalogue_of
from train.report.page import DevRuns, write_page

logger = logging.getLogger(__name__)

_REPORT_QUERIES = 200  # maximum number of `dev` queries in the report of a run


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluate a bundle: compare its rankings with judgments."""

    bundle: Path = Path("out/bundle")  # the bundle to evaluate
    data: str = DEMO  # dataset directory with judgments, or `demo` for the generated store
    demo_seed: int = 0  # seed of the generated store beside the bundle
    split: str = "test"  # queries to evaluate on: train, dev or test
    max_queries: int = 0  # maximum number of queries, drawn at random; 0 takes all
    json: Path | None = None  # write the report to this JSON file
    runs: Path | None = None  # write TREC runs to this directory
    engine: EngineConfig = field(default_factory=EngineConfig)  # request defaults, numerics


@dataclass(frozen=True)
class ExportEventsConfig:
    """Write the events of a server's log to the file `events` of a dataset."""

    state: Path  # state directory, as in --state of the server, which may run meanwhile
    out: Path  # the file to write, such as my-shop/events.parquet


@dataclass(frozen=True)
class ImportEventsConfig:
    """Record the events of a dataset in a server's log. The server must not run meanwhile."""

    events: Path  # file `events` of a dataset
    state: Path  # state directory, as in --state of the server; created if missing


def train_all(config: TrainConfig) -> None:
    """Run every step, print the decisions, then evaluate the bundle if `test` has judgments."""
    pipeline = TrainingRun(config)
    bundle = pipeline.run()
    for line in lines_of(Manifest.read(bundle).reports):
        _say(line)
    dataset = pipeline.dataset
    if (
        dataset.judgments is None
        or not pc.any(pc.equal(dataset.judgments["split"], "test")).as_py()
    ):
        logger.info("no test judgments: nothing to evaluate")
        write_report_page(pipeline, bundle, None)
        return
    report = evaluate(
        Engine.load(bundle, EngineConfig(numerics=config.numerics)),
        dataset,
        runs_directory=config.out / "runs",
        max_queries=config.evaluate_queries,
    )
    print_report(report)
    write_report(report, config.out / "evaluation.json")
    record_metrics(bundle, report.to_json())
    write_report_page(pipeline, bundle, report)


def write_report_page(pipeline: TrainingRun, bundle: Path, test: Report | None) -> None:
    """Write the page `report.html` of a run, with rankings of up to 200 `dev` queries."""
    engine = Engine.load(bundle, EngineConfig(numerics=pipeline.config.numerics), replay=False)
    queries = pipeline.judged("dev")
    queries = queries[:: -(-len(queries) // _REPORT_QUERIES) or 1]
    path = pipeline.config.out / "report.html"
    write_page(
        path,
        engine.manifest,
        pipeline.dataset,
        pipeline.data_directory,
        dev=DevRuns(queries, collect_runs(engine, queries)) if queries else None,
        test=test,
    )
    logger.info("report: path=%s", path)


def evaluate_bundle(config: EvaluateConfig) -> None:
    """Evaluate a bundle, and print the report; also write the report and runs if requested."""
    engine = Engine.load(config.bundle, config.engine)
    directory = dataset_directory(config.data, config.bundle.parent, config.demo_seed)
    if engine.manifest.state is None:
        dataset = read_dataset(directory)
    else:  # use the bundle's items, to leave out judgments of deleted items
        dataset = read_dataset(directory, change=lambda _: engine.store.table)
        for warning in dataset.warnings:
            logger.warning("warning: %s", warning)
    report = evaluate(
        engine,
        dataset,
        config.split,
        runs_directory=config.runs,
        max_queries=config.max_queries,
    )
    print_report(report)
    if config.json is not None:
        write_report(report, config.json)


def _say(line: str) -> None:
    """Print a line without breaks."""
    Console().print(line, highlight=False, markup=False, soft_wrap=True)


def export(config: ExportEventsConfig) -> None:
    """Write the events of a log to a file, and print their number."""
    count = export_events(config.state, config.out)
    _say(f"{config.out}: {count:,} events")


def import_(config: ImportEventsConfig) -> None:
    """Record the events of a file in a log, and print their numbers."""
    accepted, duplicates, dropped = import_events(config.events, config.state)
    known = f"; the log had {duplicates:,} already" if duplicates else ""
    refused = f"; {dropped:,} dropped, because their users opted out" if dropped else ""
    _say(f"{config.state}: {accepted:,} new events{known}{refused}")


@dataclass(frozen=True)
class RecommendCommand(RecommendConfig):
    """Evaluate recommendations: fit on the purchases before each cut, measure on those after it."""

    user_tower: bool = False  # also train the user tower at each cut, and measure it alone
    people: PeopleConfig = field(default_factory=PeopleConfig)
    people_fit: FitConfig = PEOPLE_FIT


def recommend(config: RecommendCommand) -> None:
    """Fit recommenders before each cut, print their reports, and write them if requested."""
    dataset = read_dataset(dataset_directory(config.data, Path("out"), 0))
    for warning in dataset.warnings:
        logger.warning("warning: %s", warning)
    catalogue = catalogue_of(dataset, config.init_from)
    peers = [UserTowerPeer(catalogue, config.people, config.people_fit)] * config.user_tower
    reports = evaluate_recommendations(dataset, catalogue, config, *peers)
    print_reports(reports)
    if config.json is not None:
        write_reports(reports, config, config.json)


def policy(config: PolicyConfig) -> None:
    """Estimate how a bundle would have done, print the estimates, and write them if requested."""
    dataset = read_dataset(dataset_directory(config.data, Path("out"), 0))
    engine = Engine.load(config.bundle, config.engine)

    def list_of(query: str) -> list[str]:
        try:
            result = engine.search(SearchRequest(query, page_size=config.positions))
        except RequestError as error:
            problem = f"events: the query {quote(query)} {error.problem}"
            raise InputError(f"{problem}, or remove its events") from None
        return [hit.item_id for hit in result.hits]

    estimates = evaluate_policy(dataset.events, list_of, config.outcome, config.positions)
    print_estimates(estimates, config.outcome)
    if config.json is not None:
        write_estimates(estimates, config.json)
