"""A new bundle from a catalogue as it is: the models of the old one, indexes of its own.

The indexes are built by a process of lower priority, which loads no model, and is paused while
requests are answered.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from base.errors import InputError
from base.failpoints import failpoint
from live import bundle_store, index_build
from live.bundle_store import State
from live.throttle import Throttle
from search import bundle
from search.bundle import Manifest, golden
from search.engine import Engine
from search.runtime.batching import Caller, calling
from search.snapshot import Snapshot
from towers.index import index_config
from towers.vectors import Stored, create_vectors

_WRITTEN = 20_000  # vectors at a time


class CompactionError(Exception):
    """A bundle could not be built; there is nothing of it."""


def build(
    engine: Engine,
    snapshot: Snapshot,
    bundles: Path,
    state: State,
    cancelled: threading.Event,
    throttle: Throttle,
) -> Engine:
    """Write a bundle of the items of a view, with the engine's models, and open it.

    It is opened once, before it is in its place: to open an index of ScaNN takes a tenth of a
    second for 100,000 items, in which nothing else of this process runs.

    Args:
        engine: Whose models, and whose bundle the view began with.
        snapshot: The items.
        bundles: Where the bundle goes, under a name of its own.
        state: What of the log the view has.
        cancelled: Give up once it is set.
        throttle: Requests that the indexes are not built beside.

    Returns:
        The engine of the new bundle, ready to serve.

    Raises:
        CompactionError: it could not be built.
    """
    try:
        place, built = bundle_store.place(
            bundles, state, lambda new: _fill(new, engine, snapshot, state, cancelled, throttle)
        )
    except (OSError, InputError) as error:
        raise CompactionError(str(error)) from error
    built.directory, built.config = place, engine.config
    return built


def _fill(
    directory: Path,
    engine: Engine,
    snapshot: Snapshot,
    state: State,
    cancelled: threading.Event,
    throttle: Throttle,
) -> Engine:
    """Write the bundle into an empty directory; its engine, which takes default requests."""
    _copy_models(engine, directory)
    alive = np.flatnonzero(snapshot.catalogue.all_alive).astype(np.int32)
    snapshot.catalogue.compacted().write(directory / bundle.ITEMS)
    (directory / bundle.INDEX).mkdir()
    stored = index_config(engine.directory / bundle.INDEX).vectors
    _save_vectors(directory / bundle.INDEX, snapshot, alive, stored)
    failpoint("compaction.before-index")
    report = _index_apart(directory, engine.directory, cancelled, throttle)
    failpoint("compaction.after-index")
    manifest = _manifest(engine, state, report)
    built = Engine(directory, manifest, engine.config.with_default_requests(), engine.models)
    queries = golden.queries(engine.directory / bundle.GOLDEN)
    with calling(Caller(background=True)):
        golden.record(built, queries, directory / bundle.GOLDEN)
    built.warm_up()
    built.manifest = manifest.with_files(bundle.list_files(directory))
    failpoint("compaction.before-manifest")
    built.manifest.write(directory)
    return built


def _save_vectors(
    directory: Path, snapshot: Snapshot, rows: Int32[np.ndarray, " rows"], stored: Stored
) -> None:
    """Write the vectors of some rows, a few at a time."""
    file = create_vectors(directory, len(rows), snapshot.sample.shape[1], stored)
    for start in range(0, len(rows), _WRITTEN):
        part = slice(start, start + _WRITTEN)
        file[part] = snapshot.recall.vectors(rows[part])
    file.flush()


def _copy_models(engine: Engine, directory: Path) -> None:
    """Copy the files of an engine's models, if they are still those it was loaded from.

    Raises:
        CompactionError: they are not, so what they encode would not fit the vectors there are.
    """
    parts = (bundle.TOWERS, bundle.RERANK, bundle.TOKENIZER)
    for part in parts:
        if (engine.directory / part).is_dir():
            shutil.copytree(engine.directory / part, directory / part)
    files = engine.manifest.files
    if bundle.list_files(directory) != {p: files[p] for p in files if p.split("/")[0] in parts}:
        raise CompactionError(
            f"{engine.directory} is no longer the bundle that is served; restart the server, and "
            "let `train` write to another directory than the one a server uses"
        )


def _manifest(engine: Engine, state: State, report: Mapping[str, Any]) -> Manifest:
    old = engine.manifest
    return replace(
        old,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        numerics=engine.numerics.dtype,
        reports={**old.reports, "index": report},
        metrics={},  # they are of other items
        state=vars(state),
        root=old.root or old.bundle_id,
    )


def _index_apart(
    directory: Path, like: Path, cancelled: threading.Event, throttle: Throttle
) -> Mapping[str, Any]:
    """Build the indexes of a directory in a process of their own; what it reports on them."""
    command = [sys.executable, "-m", "live.index_build", str(directory), str(like)]
    read, write = os.pipe()  # nothing is written: that it ends says that this process has
    process = subprocess.Popen(command, stdin=read, stderr=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
    try:
        errors = throttle.wait(process, cancelled)
        if errors is None:
            raise CompactionError("the server stops")
    finally:
        os.close(read)
        os.close(write)
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        said = errors.strip().splitlines() or [f"its process ended with {process.returncode}"]
        raise CompactionError(f"the index was not built: {said[-1]}")
    written = directory / index_build.REPORT
    report: dict[str, Any] = json.loads(written.read_text())
    written.unlink()
    return report
