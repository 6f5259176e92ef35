"""Compare the speed of this checkout and another checkout, such as the commit before a change.

    git worktree add ../before COMMIT
    python -m bench.checkouts --other ../before --bundle out/homedepot/bundle

Both checkouts use this Python environment, so their libraries are the same. The checkouts take
turns. Each checkout runs its own contestants (such as `bench.models.ours`), server and client. So
the other checkout must have the same modules of benchmarks. Commit 88dbd56 and later commits have
them.
"""

import hashlib
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from bench.harness import inputs
from bench.harness.contest import Setup, Work, contest
from bench.harness.machine import machine
from bench.harness.output import say
from bert.params import DEFAULT_PRETRAINED, resolve_pretrained

_STEPS = 2  # training steps per round
_CALLS = 40  # calls per round
_DRAWS = 10_000  # bootstrap samples of an interval
_THIS = Path(__file__).parent.parent
# The modules of a checkout that this benchmark runs.
_MODULES = (
    "bench/models/ours.py",
    "bench/models/training/ours.py",
    "bench/index/ours.py",
    "bench/service/process.py",
    "protos/shortlist/requests.py",
)


@dataclass(frozen=True)
class CheckoutsConfig:
    """Options of `python -m bench.checkouts`."""

    other: Path  # root of the other checkout
    bundle: Path  # bundle to serve, trained on Home Depot
    other_bundle: Path | None = None  # bundle that the other checkout serves; None: the same
    only: tuple[str, ...] = ()  # names of the rows to measure; empty: all
    rounds: int = 15  # timed rounds of each checkout
    titles: int = 1_000  # titles encoded per round
    vectors: int = 20_000  # vectors in the index
    work: Path = Path("out/bench/checkouts")  # directory of compiled programs


def main(config: CheckoutsConfig) -> None:
    """Print one row per kind of work: the median speed ratio of the rounds, with a 95% interval.

    Raises:
        SystemExit: the other checkout lacks a module.
    """
    require_modules(config.other)
    pairs = inputs.judged(64 * (_STEPS + 1), relevant=True)
    model = resolve_pretrained(DEFAULT_PRETRAINED)
    queries = inputs.queries_of(inputs.files_of("homedepot")[0].parent, "test")
    bundles = {"other": config.other_bundle or config.bundle, "this": config.bundle}
    served = (config.work.absolute(), queries)
    setups: dict[str, tuple[Setup, tuple[Any, ...]]] = {
        "encode": (_encode, (inputs.titles(config.titles),)),
        "two-tower step": (_ours, ("training.ours", "train_towers", pairs, _STEPS)),
        "reranker step": (_ours, ("training.ours", "train_cross_encoder", pairs, model, _STEPS)),
        "index": (_index, (config.vectors,)),
        "Rerank, 50 items": (_serve, (_rerank, *served)),
        "Retrieve, 100 items": (_serve, (_retrieve, *served)),
        "Search": (_serve, (_search, *served)),
        "Search without its model stages": (_serve, (_overhead, *served)),
        "GetItem": (_serve, (_get_item, *served)),
    }
    sys.stdout.write(f"{machine()}\n")
    say("| work | speed over the other checkout, median | 95% interval | seconds, other → this |")
    say("|---|---|---|---|")
    for name, (setup, arguments) in setups.items():
        if config.only and name not in config.only:
            continue
        roots = {"other": config.other.absolute(), "this": _THIS}
        served_by = {
            label: (bundles[label].absolute(),) if setup is _serve else () for label in roots
        }
        timed = contest(
            {
                label: (_in_checkout, (root, setup, (*served_by[label], *arguments)))
                for label, root in roots.items()
            },
            config.rounds,
        )
        other, this = (np.array(timed[label].seconds) for label in ("other", "this"))
        low, high = _interval(other / this)
        medians = f"{np.median(other):.4f} → {np.median(this):.4f}"
        say(f"| {name} | {np.median(other / this):.3f} | [{low:.3f}, {high:.3f}] | {medians} |")


def require_modules(other: Path) -> None:
    """Check that a checkout has the modules that this benchmark runs.

    Raises:
        SystemExit: a module is missing.
    """
    if missing := [module for module in _MODULES if not (other / module).is_file()]:
        raise SystemExit(
            f"error: --other {other} lacks {', '.join(missing)}; name a checkout of commit 88dbd56 "
            "or later"
        )


def _interval(ratios: np.ndarray) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the median, by the percentile method."""
    drawn = np.random.default_rng(0).choice(ratios, (_DRAWS, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(low), float(high)


def _in_checkout(root: Path, setup: Setup, arguments: tuple[Any, ...]) -> Work:
    """Set up a contestant with the modules of the checkout at `root`."""
    paths = [str(root), str(root / "protos")]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name != __name__ and Path(file).is_relative_to(_THIS) and "site-packages" not in file:
            del sys.modules[name]
    sys.path[:0] = paths
    importlib.invalidate_caches()
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.chdir(root)
    assert Path(str(importlib.import_module("bench.models.ours").__file__)).is_relative_to(root)
    return setup(*arguments)


def _ours(module: str, name: str, *arguments: Any) -> Work:
    work: Work = getattr(importlib.import_module(f"bench.models.{module}"), name)(*arguments)
    return work


def _encode(titles: Sequence[str]) -> Work:
    encode = _ours("ours", "encode")
    return lambda: encode(titles)


def _index(rows: int) -> Work:
    ours = importlib.import_module("bench.index.ours")
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((rows, 384), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    config = ours.IndexConfig("scann")

    def work() -> None:
        with tempfile.TemporaryDirectory() as directory:
            ours.build_index(vectors, Path(directory), config, vectors[:200])

    return work


def _serve(
    bundle: Path, make: Callable[[Any, Sequence[str]], Work], work: Path, queries: Sequence[str]
) -> Work:
    process = importlib.import_module("bench.service.process")
    client = importlib.import_module("shortlist.client")
    # Each checkout has its own directory of compiled programs.
    cache = work / hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:8]
    server = process.Server(bundle, cache, "--engine.cache-megabytes", "0")
    # Child processes of multiprocessing do not run `atexit` handlers.
    Finalize(None, server.stop, exitpriority=1)
    return make(client.Client(server.address, timeout_seconds=60), queries)


def _rerank(client: Any, queries: Sequence[str]) -> Work:
    candidates = [[hit.item_id for hit in client.retrieve(query, page_size=50).results]
                  for query in queries[:_CALLS]]  # fmt: skip

    def work() -> None:
        for query, ids in zip(queries, candidates, strict=False):
            client.rerank(query, ids)

    return work


def _retrieve(client: Any, queries: Sequence[str]) -> Work:
    rounds = count()

    def work() -> None:
        for query in _round_queries(queries, next(rounds)):
            client.retrieve(query, page_size=100)

    return work


def _search(client: Any, queries: Sequence[str]) -> Work:
    rounds = count()

    def work() -> tuple[float, None]:
        seconds = []
        for query in _round_queries(queries, next(rounds)):
            start = time.perf_counter()
            client.search(query, page_size=10)
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds)), None

    return work


def _overhead(client: Any, queries: Sequence[str]) -> Work:
    rounds = count()

    def work() -> tuple[float, None]:
        total = 0.0
        for query in _round_queries(queries, next(rounds)):
            start = time.perf_counter()
            response = client.search(query, page_size=10)
            total += time.perf_counter() - start
            total -= sum(
                stage.duration.ToNanoseconds() / 1e9
                for stage in response.stages
                if stage.name in ("encode", "rerank")
            )
        return total, None

    return work


def _get_item(client: Any, queries: Sequence[str]) -> Work:
    ids = [hit.item_id for hit in client.retrieve(queries[0], page_size=100).results]

    def work() -> None:
        for item_id in ids * 5:
            client.get_item(item_id)

    return work


def _round_queries(queries: Sequence[str], turn: int) -> list[str]:
    """Return the queries of one round, the same for both checkouts."""
    start = turn * _CALLS % (len(queries) - _CALLS)
    return list(queries[start : start + _CALLS])


if __name__ == "__main__":
    main(tyro.cli(CheckoutsConfig, prog="python -m bench.checkouts"))
