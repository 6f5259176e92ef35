"""The `bundle` step: assemble the results of the other steps in one immutable directory."""

import hashlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bert.numerics import Numerics
from bert.saving import read_config
from bert.tokens import Tokenizer
from catalog.store import ItemStore
from search import bundle
from search.bundle import BundleError, Manifest, golden
from search.channels import CHANNELS
from search.config import EngineConfig
from search.engine import Engine
from search.feature_source import newest_release
from search.people.weights import USER_TOWER
from search.understanding.synonyms import SYNONYMS_FILE
from train.evaluation.guard import Rule, decide
from train.evaluation.metrics import MIN_QUERIES
from train.evaluation.report import JudgedQuery
from train.pipeline.calibration import CALIBRATION, CalibrationConfig, calibrate
from train.pipeline.steps import TrainingStep
from train.pipeline.weights import (
    CHANNEL_WEIGHTS,
    CHOICE,
    MAX_QUERIES,
    RECALL_WEIGHTS,
    choose_weights,
    untuned_weights,
)

logger = logging.getLogger(__name__)

_PACKAGES = ("shortlist", "jax", "flax", "optax", "numpy", "scann", "tantivy", "tokenizers")
_STEP_FILES = "step.json"  # not copied into bundles


def assemble(
    target: Path,
    steps: Mapping[str, TrainingStep],
    store: ItemStore,
    tokenizer: Tokenizer,
    numerics: Numerics,
    *,
    judged: Mapping[str, Sequence[JudgedQuery]],
    golden_queries: Sequence[str],
    calibration: CalibrationConfig,
    built_from: Mapping[str, Any],
    rule: Rule | None = None,
    curation_files: Mapping[str, str] = MappingProxyType({}),
    state: Mapping[str, Any] | None = None,
) -> Path:
    """Write the bundle of finished steps, unless `target` is already that bundle.

    The serving engine reads the bundle's files. The weights of scores are chosen with it on the
    judged queries of `dev`, and relevance is calibrated on those of `train` and `dev`. Then the
    engine answers the golden queries, and the bundle records the answers. `rule` says when the
    bundle takes the reranker; None takes it in any case. `curation_files` are the
    contents of the bundle's files of synonyms and of rules, by name. `state` describes the writes
    that the items include, see `Manifest`.
    """
    has_tower = _has_model(steps["people"])
    channels = tuple(c.name for c in CHANNELS if has_tower or c.name != USER_TOWER)
    made_of: dict[str, Any] = {name: step.digest for name, step in steps.items()}
    made_of |= {"answers": golden.ANSWERS, "channels": list(channels), "choice": CHOICE}
    made_of["relevance"] = [CALIBRATION, asdict(calibration)]
    made_of["weights"] = [list(CHANNEL_WEIGHTS), list(RECALL_WEIGHTS), MIN_QUERIES, MAX_QUERIES]
    made_of["guard"] = rule
    for name, text in curation_files.items():
        # Bundles of earlier versions have the digest of the synonyms under this name.
        key = "synonyms" if name == SYNONYMS_FILE else name
        made_of[key] = hashlib.sha256(text.encode()).hexdigest()
    if _is_current(target, made_of):
        logger.info("up to date: step=bundle")
        return target

    def build(directory: Path) -> None:
        _copy_steps(steps, directory)
        tokenizer.save(directory / bundle.TOKENIZER)
        store.write(directory / bundle.ITEMS)
        if curation_files:
            (directory / bundle.UNDERSTANDING).mkdir()
        for name, text in curation_files.items():
            (directory / bundle.UNDERSTANDING / name).write_text(text, "utf-8")
        newest = newest_release(store)
        manifest = Manifest(
            bundle_id="",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            as_of=newest.isoformat() if newest else None,
            numerics=numerics.dtype,
            built_from={**built_from, "steps": made_of, "packages": _versions()},
            reports={name: step.report for name, step in steps.items()},
            metrics={},
            files={},
            state=state,
            channels=channels,
            weights=untuned_weights(read_config(directory / bundle.TOWERS)["temperature"]),
        )
        config = EngineConfig(numerics=numerics.dtype)
        engine = Engine(directory, manifest, config)
        weights, improvement, of_weights = choose_weights(engine, judged["dev"])
        manifest = replace(manifest, weights=weights)
        if engine.has_reranker and rule is not None:
            decision = decide("reranker", "recall alone ranks", rule, improvement)
            of_weights["guard"] = decision.to_json()
            if not decision.taken:
                engine = without_reranker(directory, manifest, config)
        fitted, of_relevance = calibrate(
            engine, tokenizer.words(), judged["train"], judged["dev"], calibration
        )
        reports = {**manifest.reports, "weights": of_weights, "relevance": of_relevance}
        manifest = replace(manifest, calibration=fitted, reports=reports)
        golden.record(engine, golden_queries, directory / bundle.GOLDEN)
        manifest.with_files(bundle.list_files(directory)).write(directory)

    bundle.write_directory(target, build)
    logger.info("done: step=bundle bundle_id=%s path=%s", Manifest.read(target).bundle_id, target)
    return target


def without_reranker(directory: Path, manifest: Manifest, config: EngineConfig) -> Engine:
    """Delete the reranker of an unfinished bundle, and open the bundle again."""
    shutil.rmtree(directory / bundle.RERANK)
    return Engine(directory, manifest, config)


def record_metrics(directory: Path, metrics: Mapping[str, Any]) -> None:
    """Add the report of an evaluation to a bundle's manifest."""
    Manifest.read(directory).with_metrics(metrics).write(directory)


def _is_current(target: Path, made_of: Mapping[str, Any]) -> bool:
    try:
        return bundle.verify(target).built_from.get("steps") == made_of
    except BundleError:
        return False


def _has_model(step: TrainingStep) -> bool:
    """Return whether a step trained a model; it may have left it out."""
    return (step.directory / "config.json").is_file()


def _copy_steps(steps: Mapping[str, TrainingStep], directory: Path) -> None:
    """Copy the files of the steps into a bundle."""
    _copy(steps["towers"].directory, directory / bundle.TOWERS)
    _copy(steps["index"].directory / bundle.INDEX, directory / bundle.INDEX)
    _copy(steps["index"].directory / bundle.LEXICAL, directory / bundle.LEXICAL)
    _copy(steps["suggest"].directory, directory / bundle.SUGGESTIONS)
    _copy(steps["behaviour"].directory, directory / bundle.BEHAVIOUR)
    for name, part in (("people", bundle.PEOPLE), ("rerank", bundle.RERANK)):
        if _has_model(steps[name]):
            _copy(steps[name].directory, directory / part)


def _copy(source: Path, target: Path) -> None:
    """Copy a step's files. With links, damage to the bundle would also damage the step."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(_STEP_FILES))


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
