"""The commands of `python -m train`."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc
from rich.console import Console

from catalog.dataset.reading import read_dataset
from search.config import EngineConfig
from search.engine import Engine
from train.evaluation.evaluate import evaluate, print_figures, write_figures
from train.pipeline.bundle import record_metrics
from train.pipeline.options import DEMO, TrainConfig
from train.pipeline.run import Pipeline, dataset_directory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateConfig:
    """What `evaluate` reads and writes."""

    bundle: Path = Path("out/bundle")  # the bundle to evaluate
    data: str = DEMO  # dataset directory with judgments, or `demo` for the generated store
    demo_seed: int = 0  # seed of the generated store, which lies or is made beside the bundle
    split: str = "test"  # queries to evaluate on: train, dev or test
    max_queries: int = 0  # evaluate on so many queries, chosen at random; 0 takes all
    json: Path | None = None  # write the figures here
    runs: Path | None = None  # write TREC runs into this directory
    engine: EngineConfig = field(default_factory=EngineConfig)  # request defaults and numerics


@dataclass(frozen=True)
class ValidateConfig:
    """What `validate` reads."""

    data: str  # dataset directory


def train_all(config: TrainConfig) -> None:
    """Every step, then the evaluation of the bundle where `test` has judgments."""
    pipeline = Pipeline(config)
    bundle = pipeline.run()
    dataset = pipeline.dataset
    if (
        dataset.judgments is None
        or not pc.any(pc.equal(dataset.judgments["split"], "test")).as_py()
    ):
        logger.info("no test judgments: nothing to evaluate")
        return
    found = evaluate(
        Engine.load(bundle, EngineConfig(numerics=config.numerics)),
        dataset,
        runs_directory=config.out / "runs",
        max_queries=config.evaluate_queries,
    )
    print_figures(found)
    write_figures(found, config.out / "evaluation.json")
    record_metrics(bundle, found.to_json())


def evaluate_bundle(config: EvaluateConfig) -> None:
    """Evaluate a bundle, show the figures, and write what was asked for."""
    engine = Engine.load(config.bundle, config.engine)
    directory = dataset_directory(config.data, config.bundle.parent, config.demo_seed)
    if engine.manifest.state is None:
        dataset = read_dataset(directory)
    else:  # judgments of items that were deleted are of no use
        dataset = read_dataset(directory, change=lambda _: engine.store.table)
        for warning in dataset.warnings:
            logger.warning("warning: %s", warning)
    found = evaluate(
        engine,
        dataset,
        config.split,
        runs_directory=config.runs,
        max_queries=config.max_queries,
    )
    print_figures(found)
    if config.json is not None:
        write_figures(found, config.json)


def validate(config: ValidateConfig) -> None:
    """Read a dataset, report every problem, and say what is in it."""
    dataset = read_dataset(Path(config.data))
    console = Console()
    for warning in dataset.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False)
    tables = {
        "items": dataset.items,
        "judgments": dataset.judgments,
        "events": dataset.events,
        "users": dataset.users,
    }
    sizes = [f"{table.num_rows:,} {name}" for name, table in tables.items() if table is not None]
    console.print(f"{dataset.info.name}: {', '.join(sizes)}; no errors", highlight=False)
