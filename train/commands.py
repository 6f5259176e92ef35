"""The commands of `python -m train`."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bert.compiled import enable_compilation_cache
from catalog.reading import read_dataset
from search.engine import Engine, EngineConfig
from train.assemble import record_metrics
from train.evaluate import evaluate, print_figures, write_figures
from train.options import TrainConfig
from train.pipeline import dataset_directory, run


@dataclass(frozen=True)
class EvaluateConfig:
    """What `evaluate` reads and writes."""

    bundle: Path = Path("out/bundle")  # the bundle to evaluate
    data: Path = Path("out/demo-store-0")  # dataset directory with judgments
    split: str = "test"  # queries to evaluate on: train, dev or test
    max_queries: int = 0  # evaluate on so many queries, chosen at random; 0 takes all
    json: Path | None = None  # write the figures here
    runs: Path | None = None  # write TREC runs into this directory
    engine: EngineConfig = field(default_factory=EngineConfig)  # request defaults and numerics


@dataclass(frozen=True)
class ValidateConfig:
    """What `validate` reads."""

    data: Path  # dataset directory


def train_all(config: TrainConfig) -> None:
    """Every step, then the evaluation of the bundle where `test` has judgments."""
    bundle = run(config)
    directory = dataset_directory(config)
    judgments = read_dataset(directory).judgments
    if judgments is None or "test" not in judgments["split"].unique().to_pylist():
        logging.getLogger(__name__).info("no test judgments: nothing to evaluate")
        return
    evaluate_bundle(
        EvaluateConfig(
            bundle,
            directory,
            max_queries=config.evaluate_queries,
            json=config.out / "evaluation.json",
            runs=config.out / "runs",
            engine=EngineConfig(numerics=config.numerics),
        )
    )


def evaluate_bundle(config: EvaluateConfig) -> None:
    """Evaluate a bundle, show the figures, and keep those of `test` in its manifest."""
    enable_compilation_cache(config.bundle.parent / "cache" / "xla")
    dataset = read_dataset(config.data)
    engine = Engine.load(config.bundle, config.engine)
    found = evaluate(
        engine,
        dataset,
        config.split,
        runs_directory=config.runs,
        max_queries=config.max_queries,
    )
    if config.json is not None:
        write_figures(found, config.json)
    if config.split == "test":
        record_metrics(config.bundle, found.to_json())
    print_figures(found)


def validate(config: ValidateConfig) -> None:
    """Read a dataset, report every problem, and say what is in it."""
    dataset = read_dataset(config.data)
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
