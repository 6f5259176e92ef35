"""Compaction: write a bundle of all current items, with the old models and new indexes.

A child process of low priority builds the indexes. The process loads no model, and it is paused
while the server answers requests.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from base.errors import InputError
from base.failpoints import failpoint
from base.processes import import_environment, python_command
from live import bundle_store, index_build
from live.bundle_store import State
from live.throttle import Throttle
from search import bundle
from search.bundle import Manifest, golden
from search.engine import Engine
from search.runtime.batching import CallContext, call_scope
from search.snapshot import Snapshot
from towers.index import index_config
from towers.vectors import Stored, create_vectors

# The parts of a bundle that a compaction copies.
_COPIED = (
    bundle.TOWERS,
    bundle.RERANK,
    bundle.TOKENIZER,
    bundle.UNDERSTANDING,
    bundle.BEHAVIOUR,
    bundle.PEOPLE,
)
_ROOM_MARGIN = 1.1  # texts of new items may be longer than those of the bundle
_VECTORS_AT_A_TIME = 20_000  # number of vectors copied in one step; limits the memory


class CompactionError(InputError):
    """The new bundle could not be built or put to use; its files are removed."""


class CompactionCancelledError(CompactionError):
    """The compaction was given up, because the server stops."""


def free_bytes(directory: Path) -> int:
    """Return the free space of the disk that has a directory, in bytes."""
    return shutil.disk_usage(directory).free


def build(
    engine: Engine,
    snapshot: Snapshot,
    bundles: Path,
    state: State,
    cancelled: threading.Event,
    throttle: Throttle,
    free_bytes: Callable[[Path], int] = free_bytes,
) -> Engine:
    """Write a bundle of a snapshot's items, with the engine's models, and open the bundle.

    The bundle is opened only once, before its directory gets its final name. Opening is slow: a
    ScaNN index of 100,000 items takes a tenth of a second, in which no other thread runs.

    Args:
        engine: The engine in use. Its models are copied, and its bundle is the base of the
            snapshot.
        snapshot: The items and their vectors.
        bundles: The directory of bundles.
        state: The writes that the snapshot includes.
        cancelled: The index build stops once this event is set.
        throttle: Pauses the index build while the server answers requests.
        free_bytes: Returns the free space of the disk that has a directory.

    Returns:
        The engine of the new bundle, ready to serve.

    Raises:
        CompactionCancelledError: `cancelled` was set.
        CompactionError: the disk has no room for the bundle, or the bundle could not be built.
    """
    try:
        _require_room(bundles, room_needed(engine, snapshot), free_bytes)
        directory, new_engine = bundle_store.add(
            bundles, state, lambda new: _fill(new, engine, snapshot, state, cancelled, throttle)
        )
    except CompactionError:
        raise
    except (OSError, InputError) as error:
        raise CompactionError(str(error)) from error
    new_engine.directory, new_engine.config = directory, engine.config
    return new_engine


def room_needed(engine: Engine, snapshot: Snapshot) -> int:
    """Estimate the disk space that `build` needs, in bytes.

    The models are copied. The other files grow in proportion to the number of items. A tenth is
    added to both. While ScaNN reads compressed vectors, it needs a float32 copy of them.
    """
    manifest, catalogue = engine.manifest, snapshot.catalogue
    models, total = (
        sum(entry["size"] for entry in files.values())
        for files in (manifest.files_of(*_COPIED), manifest.files)
    )
    growth = len(catalogue) / max(1, len(catalogue.base))
    room = _ROOM_MARGIN * (models + growth * (total - models))
    if index_config(engine.directory / bundle.INDEX).vectors != "float32":
        room += len(catalogue) * snapshot.sample.shape[1] * np.dtype(np.float32).itemsize
    return int(room)


def _require_room(bundles: Path, needed: int, free_bytes: Callable[[Path], int]) -> None:
    free = free_bytes(bundles if bundles.is_dir() else bundles.parent)
    if free < needed:
        raise CompactionError(
            f"{bundles}: a new bundle needs about {needed / 1e6:,.0f} MB, and the disk has "
            f"{free / 1e6:,.0f} MB free; free space, or move the state to a larger disk"
        )


def _fill(
    directory: Path,
    engine: Engine,
    snapshot: Snapshot,
    state: State,
    cancelled: threading.Event,
    throttle: Throttle,
) -> Engine:
    """Write the bundle into an empty directory; return its engine, with default settings."""
    _copy_models(engine, directory)
    alive = np.flatnonzero(snapshot.catalogue.all_alive).astype(np.int32)
    snapshot.catalogue.compacted().write(directory / bundle.ITEMS)
    (directory / bundle.INDEX).mkdir()
    stored = index_config(engine.directory / bundle.INDEX).vectors
    _save_vectors(directory / bundle.INDEX, snapshot, alive, stored)
    failpoint("compaction.before-index")
    report = _build_indexes(directory, engine.directory, cancelled, throttle)
    failpoint("compaction.after-index")
    manifest = _manifest(engine, state, report)
    new_engine = Engine(directory, manifest, engine.config.with_default_requests(), engine.models)
    queries = golden.queries(engine.directory / bundle.GOLDEN)
    with call_scope(CallContext(background=True)):
        golden.record(new_engine, queries, directory / bundle.GOLDEN)
    new_engine.warm_up()
    new_engine.manifest = manifest.with_files(bundle.list_files(directory))
    failpoint("compaction.before-manifest")
    new_engine.manifest.write(directory)
    return new_engine


def _save_vectors(
    directory: Path, snapshot: Snapshot, rows: Int32[np.ndarray, " rows"], stored: Stored
) -> None:
    """Write the vectors of some rows of a snapshot into a directory."""
    file = create_vectors(directory, len(rows), snapshot.sample.shape[1], stored)
    for start in range(0, len(rows), _VECTORS_AT_A_TIME):
        part = slice(start, start + _VECTORS_AT_A_TIME)
        file[part] = snapshot.channels.vectors(rows[part])
    file.flush()


def _copy_models(engine: Engine, directory: Path) -> None:
    """Copy an engine's model files, if they have not changed since the engine was loaded.

    Raises:
        BundleError: the files have changed, so the models may not fit the vectors.
    """
    for part in _COPIED:
        if (engine.directory / part).is_dir():
            shutil.copytree(engine.directory / part, directory / part)
    bundle.require_unchanged(engine.directory, engine.manifest, *_COPIED, copies=directory)


def _manifest(engine: Engine, state: State, report: Mapping[str, Any]) -> Manifest:
    old = engine.manifest
    return replace(
        old,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        numerics=engine.numerics.dtype,
        reports={**old.reports, "index": report},
        metrics={},  # the old bundle's metrics were measured on other items
        state=vars(state),
        root=old.root or old.bundle_id,
    )


def _build_indexes(
    directory: Path, old_index: Path, cancelled: threading.Event, throttle: Throttle
) -> Mapping[str, Any]:
    """Build the indexes of a directory in a child process; return the report on them."""
    command = python_command("-m", "live.index_build", str(directory), str(old_index))
    # This process never writes to the pipe. When this process ends, the pipe closes, and the child
    # process ends too.
    read, write = os.pipe()
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=read, stderr=subprocess.PIPE, text=True, env=import_environment()
    )
    try:
        errors = throttle.wait(process, cancelled)
        if errors is None:
            raise CompactionCancelledError("the server stops")
    finally:
        os.close(read)
        os.close(write)
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        lines = errors.strip().splitlines() or [f"its process ended with code {process.returncode}"]
        raise CompactionError(f"the index was not built: {lines[-1]}")
    report_file = directory / index_build.REPORT
    report: dict[str, Any] = json.loads(report_file.read_text())
    report_file.unlink()
    return report
