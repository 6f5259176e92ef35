"""The catalogue changes while it is searched: writes are logged, shown, and built into bundles.

Three threads do the work (see `live.workers`). The writer makes writes durable, many in one
transaction, and acknowledges them; deletions and numbers are visible by then. The indexer encodes
the other items and makes them visible a moment later. While too many items wait for it, writes that
would add another item wait too. The builder measures recall as the catalogue changes, and compacts:
it builds a bundle of all items, which replaces the one in use.
"""

import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from live import bundle_store, compaction
from live.active_index import ActiveIndex, OpenIndex
from live.bundle_store import State
from live.config import LiveConfig
from live.delta_index import DeltaIndex
from live.log.write_ahead_log import Acknowledgement, Write, WriteLog
from live.throttle import Throttle
from live.workers import Builder, Indexer, Writer
from search.config import EngineConfig
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.snapshot import Snapshot

logger = logging.getLogger(__name__)

_SCRATCH = "scratch"  # in a state directory: temporary files of the process that uses it

# Builds a bundle as `compaction.build` does.
BuildBundle: TypeAlias = Callable[
    [Engine, Snapshot, Path, State, threading.Event, Throttle], Engine
]


@dataclass(frozen=True)
class LiveReport:
    """The state of a live catalogue.

    Attributes:
        sequence: Sequence of the last write.
        visible_sequence: All writes up to this one are visible.
        pending: Items that wait to be encoded and shown.
        set_aside: Items that cannot be encoded; searches find their earlier version, if any.
        added: Rows behind those of the bundle.
        dead: Rows that are no longer items.
        freshness: Median and 99th percentile of the seconds from acknowledgement to visibility, of
            the last 1,000 items that had to be encoded; None before the first.
        recall: Share of the exact 10 nearest items that searches find, see `RecallMonitor`.
        compactions: New bundles since the start.
    """

    sequence: int
    visible_sequence: int
    pending: int
    set_aside: int
    added: int
    dead: int
    freshness: tuple[float, float] | None
    recall: float | None
    compactions: int


class LiveCatalogue:
    """Writes to the items of the engine in use. Safe to use from several threads."""

    def __init__(
        self,
        engine_handle: EngineHandle,
        log: WriteLog,
        bundles: Path,
        config: LiveConfig,
        compacted: Callable[[Engine, Engine], None] = lambda _old, _new: None,
        throttle: Throttle | None = None,
        *,
        open_index: OpenIndex = DeltaIndex,
        build_bundle: BuildBundle = compaction.build,
    ) -> None:
        """Bring the engine up to date with the log, and begin to take writes.

        Args:
            engine_handle: Holds the engine that writes go to; new engines replace it there.
            log: Makes writes durable; `close` closes it. Files that a killed process left beside
                the log are removed.
            bundles: The directory of compacted bundles.
            config: How writes are treated.
            compacted: Called with the old engine and the one of the new bundle that replaced it.
            throttle: Requests that compacting and measuring give way to.
            open_index: Opens the delta index of an engine.
            build_bundle: Builds a bundle of all items.
        """
        self._throttle = throttle or Throttle()
        self._bundles = bundles
        self._log = log
        self._compacted = compacted
        self._build_bundle = build_bundle
        self._compacting = threading.Lock()  # one compaction at a time builds and removes bundles
        self._closing = threading.Lock()
        self._closed = False
        self._compactions = 0
        bundle_store.remove_unfinished(bundles)
        self._scratch = log.path.parent / _SCRATCH
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        self._index = ActiveIndex(engine_handle, log, self._scratch, config, open_index)
        self._indexer = Indexer(self._index, config)
        self._writer = Writer(self._index, config, committed=self._indexer.wake)
        self._builder = Builder(self._index, config, self._throttle, self._compact)

    def write_soon(self, write: Write) -> "Future[Acknowledgement] | None":
        """Queue a write as `write` does; return None where the write would have to wait.

        Raises:
            ClosedError: after `close`.
        """
        return self._writer.write_soon(write)

    def write(self, write: Write) -> "Future[Acknowledgement]":
        """Queue a write; the future is done once the write is durable, or has failed.

        A write waits here while the queue is full, or while too many items wait to be encoded and
        the write would add another one.

        Errors of the future: RequestError for a malformed write or for a request id that came
        before with another write, UnknownItemsError for a partial write to an item that does not
        exist, LogError when the disk fails.

        Raises:
            ClosedError: after `close`.
        """
        return self._writer.write(write)

    def adopt(self, engine: Engine, instead_of: Engine | None = None) -> Engine:
        """Replace the engine in use, once the new one has all visible writes of the old one.

        Args:
            engine: The new engine.
            instead_of: The engine to replace; None for the one in use.

        Returns:
            The old engine, which requests may still use.

        Raises:
            BundleError: the new engine's bundle has later writes than the log.
            CompactionError: the engine in use is no longer `instead_of`.
        """
        old_engine = self._index.adopt(engine, instead_of)
        self._indexer.wake()
        return old_engine

    def compact(self) -> None:
        """Build a bundle of all items, and put it to use instead of the present one.

        Raises:
            CompactionError: the bundle could not be built; the present one stays in use.
        """
        self._builder.compact()

    def report(self) -> LiveReport:
        """Return the state of the catalogue."""
        delta_index = self._index.delta_index
        catalogue = delta_index.engine.snapshot.catalogue
        waits = list(delta_index.waits)
        last_sequence = self._log.sequence
        return LiveReport(
            sequence=last_sequence,
            visible_sequence=delta_index.visible_sequence(),
            pending=len(delta_index.pending),
            set_aside=len(delta_index.aside),
            added=catalogue.added_rows,
            dead=catalogue.rows_in_all - len(catalogue),
            freshness=(float(np.median(waits)), float(np.quantile(waits, 0.99))) if waits else None,
            recall=self._index.recall_monitor.share,
            compactions=self._compactions,
        )

    def close(self) -> None:
        """Finish the queued writes, and stop."""
        workers = (self._writer, self._indexer, self._builder)
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join()
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._index.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._log.close()

    def _compact(self, cancelled: threading.Event) -> None:
        with self._compacting:
            old, snapshot, state = self._index.settled()
            new = self._build_bundle(old, snapshot, self._bundles, state, cancelled, self._throttle)
            try:
                before = self.adopt(new, instead_of=old)
            except BaseException:
                bundle_store.remove(new.directory)  # else the next start would try it
                raise
            self._compacted(before, new)
            self._compactions += 1
            bundle_store.remove_others(self._bundles, keep=new.directory)
            logger.info("compacted bundle_id=%s sequence=%d", new.bundle_id, state.sequence)


def open_newest(root: Path, log: WriteLog, bundles: Path, config: EngineConfig) -> Engine:
    """Open the newest bundle compacted from `root` that can be opened, else `root` itself.

    Raises:
        BundleError: no bundle can be opened.
    """
    state = State(log.id, log.sequence)
    return bundle_store.newest(
        root, bundles, state, lambda directory: Engine.load(directory, config, warm=True)
    )
