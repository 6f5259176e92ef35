"""Swaps of bundles: no call fails, and all memory is freed."""

import gc
import json
import logging
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from bert.numerics import choose_numerics
from search import bundle
from search.engine import Engine
from search.request import LEXICAL, SearchRequest
from server.config import ServerConfig
from tests import tiny
from tests.server.bundle_loader.admin import Serving, Swapping, copy, refusal, reseal, serve
from tests.timing import eventually

Code = grpc.StatusCode
QUERIES = ("usb c charger", "hdmi cable 2 metre", "ampere 30 watt")


def test_a_new_bundle_replaces_the_old_one_and_rolls_back(
    swapping: Swapping, root: Path, ids: Mapping[str, str]
) -> None:
    assert swapping.client.search(QUERIES[0]).bundle_id == ids["one"]
    loaded = swapping.admin.load("other")
    assert loaded.bundle_id == loaded.bundle.bundle_id == ids["other"]
    assert loaded.bundle.path == str(root / "other")
    assert swapping.client.search(QUERIES[0]).bundle_id == ids["other"]
    assert swapping.admin.roll_back().bundle_id == ids["one"]
    assert swapping.client.search(QUERIES[0]).bundle_id == ids["one"]
    # After a rollback, there is no previous bundle, so a second rollback fails.
    error = refusal(swapping.admin.roll_back)
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "NOTHING_TO_ROLL_BACK_TO")


def test_the_status_has_the_current_bundle_the_previous_one_and_the_last_failure(
    swapping: Swapping, root: Path, ids: Mapping[str, str]
) -> None:
    status = swapping.admin.status()
    assert status.bundle_id == status.bundle.bundle_id == ids["one"]
    assert (status.bundle.path, status.item_count) == (str(root / "one"), len(tiny.tiny_items()))
    assert status.bundle.create_time.ToJsonString() == "2024-01-31T09:30:00Z"
    unset = ("previous", "loading", "last_failure")
    assert [status.HasField(name) for name in unset] == [False] * 3
    assert (status.numerics, status.vector_dimension) == (choose_numerics().dtype, 16)
    assert status.ready_program_count == swapping.engine.compilations
    assert {cache.name for cache in status.caches} == {"queries", "pairs"}

    before = time.time()
    swapping.admin.load("fewer")
    (root / "empty").mkdir(exist_ok=True)
    refusal(lambda: swapping.admin.load("empty"))
    status = swapping.admin.status()
    assert (status.bundle_id, status.previous.bundle_id) == (ids["fewer"], ids["one"])
    assert before <= status.bundle.serve_time.ToNanoseconds() / 1e9 <= time.time()
    assert status.item_count == len(tiny.tiny_items()) - 5
    assert status.last_failure.path == str(root / "empty")
    assert "has no manifest.json" in status.last_failure.reason
    assert status.uptime.ToNanoseconds() > 0


def test_the_status_has_the_metrics_of_the_evaluation(
    config: ServerConfig, tiny_bundle: Path, serving: Serving, tmp_path: Path
) -> None:
    copy(tiny_bundle, tmp_path / "evaluated")
    figures = {"systems": {"both": {"ndcg@10": {"mean": 0.5, "queries": 12.0}}}}
    manifest = bundle.Manifest.read(tmp_path / "evaluated")
    manifest.with_metrics(figures).write(tmp_path / "evaluated")
    with serve(config, tmp_path / "evaluated", serving) as swapping:
        both = swapping.admin.status().bundle.metrics["systems"]["both"]
        assert both["ndcg@10"]["mean"] == 0.5


def test_loading_the_current_bundle_changes_nothing(
    swapping: Swapping, ids: Mapping[str, str]
) -> None:
    swapping.admin.load("fewer")
    assert swapping.admin.load("fewer").bundle_id == ids["fewer"]
    assert swapping.admin.status().previous.bundle_id == ids["one"]


@pytest.mark.slow
def test_no_call_fails_and_no_answer_mixes_two_bundles(
    swapping: Swapping, root: Path, ids: Mapping[str, str]
) -> None:
    expected = {}
    for name, bundle_id in ids.items():
        engine = Engine.load(root / name)
        for query in QUERIES:
            hits = engine.search(SearchRequest(query)).hits
            expected[bundle_id, query] = {hit.item_id: hit.score for hit in hits}
    # All nine results differ, so the scores of an answer show its bundle.
    assert len({tuple(sorted(scores.items())) for scores in expected.values()}) == 9
    answers: list[Any] = []
    done = threading.Event()

    def ask(query: str) -> None:
        while not done.is_set():
            answers.append((query, swapping.client.search(query, timeout_seconds=60)))

    with ThreadPoolExecutor(len(QUERIES)) as callers:
        calls = [callers.submit(ask, query) for query in QUERIES]
        for name in ("other", "fewer", "one", "other", "one", "fewer"):
            swapping.admin.load(name)
        swapping.admin.roll_back()
        done.set()
        for call in calls:
            call.result()
    assert {response.bundle_id for _, response in answers} == set(ids.values())
    for query, response in answers:
        scores = {result.item_id: result.score for result in response.results}
        assert scores == pytest.approx(expected[response.bundle_id, query], abs=5e-3)


def test_a_call_under_way_is_finished_by_the_bundle_it_began_with(
    swapping: Swapping, ids: Mapping[str, str]
) -> None:
    texts = [f"a charger for laptop number {n} " * 3 for n in range(128)]
    replaced = weakref.ref(swapping.engine)
    with ThreadPoolExecutor(4) as callers:
        loading = callers.submit(swapping.admin.load, "other")
        slow: list[Future[Any]] = []
        while not loading.done():
            slow.append(callers.submit(swapping.client.embed, texts))
            wait([loading], timeout=0.05)  # a new call every 50 ms
        found = [call.result().bundle_id for call in slow]
    assert set(found) <= {ids["one"], ids["other"]}
    assert found[0] == ids["one"]
    eventually(lambda: replaced() is None)
    assert swapping.admin.status().leaving_bundle_ids == []


def test_one_bundle_is_loaded_at_a_time(swapping: Swapping, root: Path) -> None:
    with ThreadPoolExecutor(1) as callers:
        first = callers.submit(swapping.admin.load, "other")
        eventually(lambda: swapping.admin.status().HasField("loading"))
        assert swapping.admin.status().loading.path == str(root / "other")
        for call in (lambda: swapping.admin.load("fewer"), swapping.admin.roll_back):
            error = refusal(call)
            assert (error.code, error.reason) == (Code.ABORTED, "LOAD_UNDER_WAY")
        first.result()
    assert not swapping.admin.status().HasField("loading")
    swapping.admin.load("fewer")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nowhere",
        "one/manifest.json",
        "\0",
        "/",
        "/etc",
        "../outside",
        "fewer/../../outside",
        "leading-out",
        "leading-out/bundle",
    ],
)
def test_a_path_that_is_no_directory_below_the_root_is_refused(
    config: ServerConfig, tiny_bundle: Path, serving: Serving, tmp_path: Path, path: str
) -> None:
    for place in ("root/one", "root/fewer", "outside", "outside/bundle"):
        copy(tiny_bundle, tmp_path / place)
    (tmp_path / "root" / "leading-out").symlink_to(tmp_path / "outside")
    with serve(config, tmp_path / "root" / "one", serving) as swapping:
        error = refusal(lambda: swapping.admin.load(path))
        assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "INVALID_FIELD")
        assert [violation.field for violation in error.field_violations] == ["path"]
        swapping.admin.load("fewer")


def test_a_bad_bundle_is_refused_with_the_reason_and_the_old_one_serves_on(
    swapping: Swapping,
    tiny_bundle: Path,
    root: Path,
    ids: Mapping[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def moved(golden: bytes) -> bytes:
        lines = [json.loads(line) for line in golden.splitlines()]
        lines[1]["hits"][0][1] += 1
        return "\n".join(map(json.dumps, lines)).encode()

    def altered(name: str, file: str, change: Callable[[bytes], bytes], *, sealed: bool) -> str:
        directory = root / name
        shutil.copytree(tiny_bundle, directory)
        path = directory / file
        path.write_bytes(change(path.read_bytes()))
        # A sealed manifest matches the changed file, as if the bundle had been built with it.
        if sealed:
            reseal(directory)
        return name

    vectors = f"{bundle.INDEX}/vectors.npy"
    bad = {
        altered("short", bundle.ITEMS, lambda b: b[:-1], sealed=False): "items.parquet has",
        altered("flip", bundle.ITEMS, lambda b: b[:-1] + b"!", sealed=False): "was altered",
        altered("wrong", bundle.GOLDEN, moved, sealed=True): "a score moved by 1",
        altered(
            "other-file", bundle.ITEMS, lambda _: b"text", sealed=True
        ): "not a readable parquet",
        altered(
            "no-index", vectors, lambda _: b"text", sealed=True
        ): "vectors.npy does not contain vectors",
    }
    alive = weakref.ref(swapping.engine)
    for name, reason in bad.items():
        error = refusal(partial(swapping.admin.load, name))
        assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "BUNDLE_REFUSED")
        assert reason in error.message
        assert swapping.client.search(QUERIES[0]).bundle_id == ids["one"]
    assert swapping.engine is alive()
    assert [record for record in caplog.records if record.levelno == logging.ERROR] == []
    error = refusal(swapping.admin.roll_back)
    assert error.reason == "NOTHING_TO_ROLL_BACK_TO"


def test_a_directory_that_holds_another_bundle_by_now_is_not_rolled_back_to(
    config: ServerConfig, root: Path, serving: Serving, tmp_path: Path, ids: Mapping[str, str]
) -> None:
    copy(root / "one", tmp_path / "before")
    copy(root / "other", tmp_path / "after")
    with serve(config, tmp_path / "before", serving) as swapping:
        swapping.admin.load("after")
        shutil.rmtree(tmp_path / "before")
        assert "is not a directory" in refusal(swapping.admin.roll_back).message
        copy(root / "fewer", tmp_path / "before")
        error = refusal(swapping.admin.roll_back)
        assert f"holds bundle {ids['fewer']} now, not {ids['one']}" in error.message
        assert swapping.client.search(QUERIES[0]).bundle_id == ids["other"]


def test_a_replaced_engine_is_freed_without_the_garbage_collector(
    config: ServerConfig, root: Path, serving: Serving
) -> None:
    gc.disable()
    # Engines of other tests may have model threads.
    others = [thread.name for thread in threading.enumerate()].count("model")
    try:
        with serve(config, root / "one", serving) as swapping:
            references = []
            for name in ("fewer", "other"):
                engine = swapping.engine
                references += [weakref.ref(engine.snapshot.catalogue.base), weakref.ref(engine)]
                [vocabulary] = [
                    weakref.ref(channel.index.vocabulary)
                    for channel in engine.snapshot.channels
                    if channel.name == LEXICAL
                ]
                references.append(vocabulary)
                if name == "other":
                    references.append(weakref.ref(engine.models))
                    references.append(weakref.ref(engine.models.encoder))
                del engine
                for query in QUERIES:
                    swapping.client.search(query)
                # An exception refers to its frames. A frame that refers to the exception would keep
                # both, and the engine, in memory.
                assert refusal(lambda: swapping.client.rerank("cable", ["?"])).reason
                assert refusal(lambda: swapping.client.search(" ")).reason
                swapping.admin.load(name)
            assert len(references) == 8
            eventually(lambda: all(reference() is None for reference in references))
            threads = [thread.name for thread in threading.enumerate()]
            assert threads.count("model") == others + 1
    finally:
        gc.enable()


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("pair", "swaps", "most"), [(("fewer", "one"), 20, 12.0), (("other", "one"), 4, 40.0)]
)
@pytest.mark.slow
def test_memory_returns_to_its_level(
    config: ServerConfig,
    root: Path,
    serving: Serving,
    pair: tuple[str, str],
    swaps: int,
    most: float,
) -> None:
    def settled(swapping: Swapping) -> bool:
        """Return whether the memory of all replaced engines was returned to the system."""
        threads = [thread.name for thread in threading.enumerate()]
        leaving = swapping.admin.status().leaving_bundle_ids
        return not leaving and "give-back-memory" not in threads

    def swap(swapping: Swapping, times: int) -> float:
        for turn in range(times):
            swapping.admin.load(pair[turn % 2])
            swapping.client.search(QUERIES[0])
        eventually(lambda: settled(swapping))
        return resident_megabytes()

    with serve(config, root / "one", serving, settle_seconds=0.1) as swapping:
        # A leak grows in every round. Without a leak, the heap grows only in some rounds.
        levels, grown = [swap(swapping, 4)], []
        while len(grown) < 3 and min(grown, default=most) >= most:
            levels.append(swap(swapping, swaps))
            grown.append(levels[-1] - levels[-2])
    assert min(grown) < most, grown
