"""Measure a live catalogue under load: latency, freshness, memory and maximum rates.

    python -m bench.service.live [--seconds 300]

The benchmark makes a bundle of 100,000 real and recombined titles once, with the pretrained
encoder. There are three phases. First, only Retrieve calls run. Second, Retrieve calls run together
with updates of price and stock, and with writes of new items. Third, each kind of call runs alone,
as fast as the server answers. Another process on the same machine sends the load
(`bench/service/load.py`). In the first two phases, the latency of a call counts from its due time.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from bench.harness.machine import machine
from bench.harness.memory import resident_bytes
from bench.index import vectors
from bench.index.ours import build_index
from bench.models import ours
from bench.service.process import serving
from bert.numerics import choose_numerics
from catalog.items import Item
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from lexical.suggestions import PastQueries, SuggestionConfig, build_suggestions
from search import bundle
from towers.index import IndexConfig
from towers.saving import save_towers
from towers.vectors import open_vectors
from train.pipeline.behaviour import BehaviourConfig, fit_behaviour
from train.pipeline.bundle import assemble
from train.pipeline.calibration import CalibrationConfig
from train.pipeline.steps import TrainingStep

_SEED = 0


@dataclass(frozen=True)
class LiveBenchConfig:
    """Options of `python -m bench.service.live`."""

    items: int = 100_000  # items in the catalogue
    seconds: int = 300  # duration of the second phase, all loads together
    quiet_seconds: int = 60  # duration of the first phase, only Retrieve
    limit_seconds: int = 20  # duration of each load of the third phase
    retrieves: float = 10.0  # Retrieve calls per second
    updates: float = 500.0  # updates of price and stock per second
    new_items: float = 30.0  # new items per second
    work: Path = Path("out/bench")  # directory of vectors, bundle and compiled programs
    results: Path = Path("out/bench/live.json")  # file for the results


def make_bundle(work: Path, items: int) -> Path:
    """Make a bundle of titles, prices and stock without a reranker, by the steps of `train`."""
    target = work / f"catalogue-{items}-{vectors.key()}"
    if (target / "bundle" / bundle.MANIFEST).is_file():
        return target / "bundle"
    file, asked = vectors.make(work / "vectors", items)
    random = np.random.default_rng(_SEED)
    prices = np.round(np.exp(random.normal(3.5, 1.0, items)), 2).tolist()
    stock = (random.random(items) < 0.9).tolist()
    store = ItemStore.of(
        [
            Item(f"t{row:07}", title, price=prices[row], in_stock=stock[row])
            for row, title in enumerate(islice(vectors.titles(), items))
        ]
    )
    towers, tokenizer = ours.parts()

    def index(directory: Path, _: Path) -> Mapping[str, Any]:
        (directory / bundle.INDEX).mkdir()
        stored = np.load(file, mmap_mode="r")
        built = build_index(stored, directory / bundle.INDEX, IndexConfig(), asked[::4])
        LexicalIndex.build(store, directory / bundle.LEXICAL)
        return built.report()

    def encoder(directory: Path, _: Path) -> Mapping[str, Any]:
        save_towers(towers, directory)
        return {}

    def suggest(directory: Path, _: Path) -> Mapping[str, Any]:
        lexical = LexicalIndex.open(steps["index"].directory / bundle.LEXICAL)
        return build_suggestions(directory, store, lexical, PastQueries(), SuggestionConfig())

    def behaviour(directory: Path, _: Path) -> Mapping[str, Any]:
        stored = open_vectors(steps["index"].directory / bundle.INDEX)
        return fit_behaviour(directory, None, store, stored, BehaviourConfig())

    builds: dict[str, Any] = {
        "towers": encoder,
        "index": index,
        "suggest": suggest,
        "behaviour": behaviour,
        # Without a reranker and without a user tower.
        **dict.fromkeys(("rerank", "people"), lambda *_: {}),
    }
    steps = {
        name: TrainingStep(name, target / "steps" / name, {"items": items}, build)
        for name, build in builds.items()
    }
    for step in steps.values():
        step.run()
    return assemble(
        target / "bundle",
        steps,
        store,
        tokenizer,
        choose_numerics(),
        judged={"train": (), "dev": ()},
        golden_queries=vectors.queries()[:8],
        calibration=CalibrationConfig(),
        built_from={"dataset": f"{items} titles"},
    )


@contextmanager
def server(directory: Path, state: Path, config: LiveBenchConfig) -> Iterator[tuple[str, int]]:
    """Run a server with a live catalogue; yield its address and process id."""
    flags = ("--state", str(state), "--engine.cache-megabytes", "0")
    with serving(directory, config.work / "xla", *flags) as running:
        yield running.address, running.process.pid


class ResourceUse:
    """A process's memory and processor time, and the machine's load average."""

    def __init__(self, pid: int) -> None:
        """Start to sample memory and load once a second."""
        self.megabytes: list[float] = []
        self.loads: list[float] = []
        self._pid, self._stopped = pid, threading.Event()
        self._begun = (time.perf_counter(), self._seconds())
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """Stop sampling, and return the measurements."""
        self._stopped.set()
        self._thread.join()
        tenth = max(1, len(self.megabytes) // 10)
        return {
            "megabytes_first": float(np.median(self.megabytes[:tenth])),
            "megabytes_last": float(np.median(self.megabytes[-tenth:])),
            "megabytes_most": max(self.megabytes),
            "processors": (self._seconds() - self._begun[1])
            / (time.perf_counter() - self._begun[0]),
            "load": float(np.median(self.loads)),
        }

    def _seconds(self) -> float:
        """Return the processor time of the process so far, in seconds."""
        numbers = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    def _sample(self) -> None:
        while not self._stopped.wait(1.0):
            resident = resident_bytes(self._pid, files=False)
            if resident is not None:
                self.megabytes.append(resident / 2**20)
                self.loads.append(os.getloadavg()[0])


def load(address: str, pid: int, phase: str, **options: Any) -> dict[str, Any]:
    """Run one phase in its own process; return its measurements and the server's resource use."""
    use = ResourceUse(pid)
    command = [sys.executable, "-m", "bench.service.load", "--address", address, "--phase", phase]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our module
    measured = json.loads(process.stdout) | use.stop()
    sys.stderr.write(f"{phase}: {json.dumps(measured)}\n")
    return dict(measured)


def measure(config: LiveBenchConfig) -> dict[str, dict[str, Any]]:
    """Run all phases; return the measurements by phase."""
    directory = make_bundle(config.work, config.items)
    questions = config.work / "questions.json"
    questions.write_text(json.dumps(vectors.queries()))
    with tempfile.TemporaryDirectory(dir=config.work) as name:
        titles = Path(name) / "titles.json"
        new_titles = islice(vectors.titles(), config.items, config.items + 50_000)
        titles.write_text(json.dumps(list(new_titles)))
        options = {"queries": str(questions), "titles": str(titles), "items": config.items}
        limit = {**options, "seconds": config.limit_seconds}
        with server(directory, Path(name) / "state", config) as (address, pid):
            time.sleep(2.0)
            return {
                "quiet": load(
                    address,
                    pid,
                    "together",
                    **options,
                    seconds=config.quiet_seconds,
                    retrieves=config.retrieves,
                ),
                "together": load(
                    address,
                    pid,
                    "together",
                    **options,
                    seconds=config.seconds,
                    retrieves=config.retrieves,
                    updates=config.updates,
                    new_items=config.new_items,
                ),
                "updates alone": load(address, pid, "updates", **limit),
                "new items alone": load(address, pid, "new items", **limit),
                "Retrieve alone": load(address, pid, "retrieves", **limit),
            }


def table(config: LiveBenchConfig, phases: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the measurements as Markdown."""
    quiet, together = phases["quiet"], phases["together"]

    def milliseconds(values: Mapping[str, float]) -> str:
        return f"p50 {1e3 * values['p50']:,.0f} ms, p99 {1e3 * values['p99']:,.0f} ms"

    ratio = together["retrieve"]["p99"] / quiet["retrieve"]["p99"]
    rates = f"{config.retrieves:g} Retrieve, {config.updates:g} updates, {config.new_items:g} new"
    lines = [
        f"{config.items:,} items; {rates} a second for {config.seconds} s",
        "",
        "| | |",
        "| --- | --- |",
        f"| Retrieve, quiet | {milliseconds(quiet['retrieve'])} |",
        f"| Retrieve, together | {milliseconds(together['retrieve'])}: p99 {ratio:.2f} times |",
        f"| answered of sent, together | {together['retrieve']['count']} Retrieve, "
        f"{together['update']['count']} updates, {together['new']['count']} new items of "
        f"{together['due']}; {together['errors']} errors |",
        f"| write to acknowledgement | {milliseconds(together['update'])} |",
        f"| new item: acknowledgement to visible | {milliseconds(together['fresh'])}; "
        f"{together['missed']} of {together['checked']} checked by Retrieve were missing |",
        f"| update: acknowledgement to visible | {milliseconds(together['fresh_update'])} |",
    ]
    for name in ("quiet", "together"):
        phase = phases[name]
        lines.append(f"| processors of the server, {name} | {phase['processors']:.2f} |")
        lines.append(
            f"| memory of the server, {name} | {phase['megabytes_first']:,.0f} MB at first, "
            f"{phase['megabytes_last']:,.0f} at last, {phase['megabytes_most']:,.0f} at peak |"
        )
    lines += [
        f"| {name}, as fast as answered | {phases[name]['rate']:,.0f} a second, "
        f"{phases[name]['processors']:.2f} processors |"
        for name in ("updates alone", "new items alone", "Retrieve alone")
    ]
    loads = ", ".join(f"{name} {phase['load']:.1f}" for name, phase in phases.items())
    return "\n".join([*lines, "", f"load average: {loads}"])


def main(config: LiveBenchConfig) -> None:
    """Run the benchmark, print a table and write the results."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    phases = measure(config)
    sys.stdout.write(table(config, phases) + "\n")
    values = {"machine": machine(), "seconds": config.seconds, "phases": phases}
    config.results.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(LiveBenchConfig, prog="python -m bench.service.live"))
