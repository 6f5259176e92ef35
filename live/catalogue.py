"""The live catalogue: log writes, make them visible to searches, and build them into bundles.

Three threads do the work (see `live.workers`):

- The writer makes writes durable, many in one transaction, and acknowledges them. When a write is
  acknowledged, deletions and changed numbers (such as prices) are already visible.
- The indexer encodes all other written items, and makes them visible a moment later. While too many
  items wait for the indexer, writes that would add another item wait too.
- The builder measures recall as the catalogue changes, and compacts: it builds a bundle of all
  items, which replaces the bundle in use.
"""

import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np

from base.error_logging import operator_text
from live import bundle_store, compaction
from live.bundle_store import State
from live.compaction import CompactionCancelledError
from live.config import LiveConfig
from live.errors import ClosedError
from live.indexing.active_index import ActiveIndex, OpenIndex
from live.indexing.curations import LiveCurations
from live.indexing.delta_index import DeltaIndex
from live.log.curations import CurationChange
from live.log.write_ahead_log import Acknowledgement, Write, WriteLog
from live.throttle import Throttle
from live.workers import Builder, Indexer, Writer
from search.config import EngineConfig
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.snapshot import Snapshot

logger = logging.getLogger(__name__)

_SCRATCH = "scratch"  # directory of temporary files, inside the state directory

# A function with the parameters and the result of `compaction.build`.
BuildBundle: TypeAlias = Callable[
    [Engine, Snapshot, Path, State, threading.Event, Throttle], Engine
]


@dataclass(frozen=True)
class CompactionFailure:
    """A failed compaction: its end and the reason."""

    time: datetime
    reason: str


@dataclass(frozen=True)
class LiveReport:
    """The state of a live catalogue.

    Attributes:
        sequence: Sequence number of the last write.
        visible_sequence: Sequence number up to which all writes are visible.
        pending: Number of items that wait to be encoded and made visible.
        oldest_wait: How long the oldest of these items has waited, in seconds, but not longer than
            since the bundle in use was opened. 0 if no item waits.
        set_aside: Number of items that cannot be encoded. Searches find the earlier version of such
            an item, if it has one.
        added: Number of rows added after the bundle's rows.
        dead: Number of rows whose item was deleted or has a newer version.
        freshness: Median and 99th percentile of the seconds from acknowledgement to visibility,
            over the last 1,000 encoded items. None before the first encoded item.
        recall: Share of the exact 10 nearest items that searches find; see `RecallMonitor`.
        compactions: Number of compactions since the start that built a bundle.
        failed_compactions: Number of compactions since the start that failed.
        compaction_failure: The last compaction, if it failed.
    """

    sequence: int
    visible_sequence: int
    pending: int
    oldest_wait: float
    set_aside: int
    added: int
    dead: int
    freshness: tuple[float, float] | None
    recall: float | None
    compactions: int
    failed_compactions: int
    compaction_failure: CompactionFailure | None


class LiveCatalogue:
    """The items of the engine in use, and writes to them. Safe to use from several threads.

    Attributes:
        config: When writes become visible, and when to compact.
    """

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
        """Apply the log's writes to the engine, and start to take new writes.

        Temporary files and unfinished bundles that a killed process left are removed.

        Args:
            engine_handle: Holds the engine in use. A compaction or `adopt` replaces that engine.
            log: The write-ahead log; `close` closes it.
            bundles: The directory of compacted bundles.
            config: When writes become visible, and when to compact.
            compacted: Called after each compaction with the old engine and the new engine.
            throttle: Makes compaction and recall measurement wait while there are requests. None
                counts no requests.
            open_index: Opens the delta index of an engine.
            build_bundle: Builds a bundle of all items.
        """
        self.config = config
        self._throttle = throttle or Throttle(config.give_way_seconds)
        self._bundles = bundles
        self._log = log
        self._compacted = compacted
        self._build_bundle = build_bundle
        self._compacting = threading.Lock()  # held during a compaction: only one may run at a time
        self._closing = threading.Lock()  # held to close, and to change curations
        self._closed = False
        self._compactions = self._failed_compactions = 0
        self._compaction_failure: CompactionFailure | None = None
        bundle_store.remove_unfinished(bundles)
        self._scratch = log.path.parent / _SCRATCH
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._index = ActiveIndex(engine_handle, log, self._scratch, config, open_index)
        self._indexer = Indexer(self._index, config)
        self._indexer.wake()  # some items may still be pending
        self._writer = Writer(self._index, config, committed=self._indexer.wake)
        self._builder = Builder(self._index, config, self._throttle, self._compact)

    def write_soon(self, write: Write) -> "Future[Acknowledgement] | None":
        """Queue a write as `write` does, but return None if the write would have to wait.

        Raises:
            ClosedError: after `close`.
        """
        return self._writer.write_soon(write)

    def write(self, write: Write) -> "Future[Acknowledgement]":
        """Queue a write; the future is done once the write is durable, or has failed.

        The call waits while the queue is full. If the write would add a pending item, the call also
        waits while too many items are pending.

        The future's exception is

        - RequestError if the request id of the write was used for another write;
        - UnknownItemsError if the write is partial and the item does not exist;
        - LogError if the disk fails.

        Raises:
            ClosedError: after `close`.
        """
        return self._writer.write(write)

    @property
    def curations(self) -> LiveCurations:
        """The live curations, which the next search uses."""
        return self._index.curations

    def curate(self, change: CurationChange) -> Acknowledgement:
        """Change a curation; return once the change is durable and in effect.

        Raises:
            RequestError: the change does not fit the other curations or the catalogue, or its
                request id was used for another write.
            UnknownCurationError: there is no such curation.
            RevisionMismatchError: the curation does not have the expected revision.
            NothingToUndoError: the log has no earlier version.
            LogError: the disk fails.
            ClosedError: after `close`.
        """
        with self._closing:
            if self._closed:
                raise ClosedError("the catalogue takes no more writes")
            return self._index.curate(change)

    def adopt(self, engine: Engine, instead_of: Engine | None = None) -> Engine:
        """Apply the log's writes to a new engine, then replace the engine in use by the new one.

        Args:
            engine: The new engine.
            instead_of: The engine to replace; None for whichever engine is in use.

        Returns:
            The old engine, which running requests may still use.

        Raises:
            BundleError: the new engine's bundle includes writes that the log lacks.
            CompactionError: the engine in use is no longer `instead_of`.
        """
        old_engine = self._index.adopt(engine, instead_of)
        self._indexer.wake()
        return old_engine

    def compact(self) -> None:
        """Build a bundle of all items, and replace the bundle in use by it.

        Raises:
            CompactionError: the new bundle could not be built; the old bundle stays in use.
        """
        self._builder.compact()

    def report(self) -> LiveReport:
        """Return the present state of the catalogue."""
        delta_index = self._index.delta_index
        catalogue = delta_index.engine.snapshot.catalogue
        waits = list(delta_index.waits)
        last_sequence = self._log.sequence
        return LiveReport(
            sequence=last_sequence,
            visible_sequence=delta_index.visible_sequence(),
            pending=len(delta_index.pending),
            oldest_wait=delta_index.oldest_wait(),
            set_aside=len(delta_index.aside),
            added=catalogue.added_rows,
            dead=catalogue.rows_in_all - len(catalogue),
            freshness=(float(np.median(waits)), float(np.quantile(waits, 0.99))) if waits else None,
            recall=self._index.recall_monitor.share,
            compactions=self._compactions,
            failed_compactions=self._failed_compactions,
            compaction_failure=self._compaction_failure,
        )

    def close(self) -> None:
        """Finish the queued writes, end the threads, and close the log."""
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
            try:
                self._build_and_adopt(cancelled)
            except CompactionCancelledError:
                raise
            except Exception as error:
                self._failed_compactions += 1
                reason = operator_text(error)
                self._compaction_failure = CompactionFailure(datetime.now(UTC), reason)
                raise
            self._compaction_failure = None

    def _build_and_adopt(self, cancelled: threading.Event) -> None:
        old, snapshot, state = self._index.settled()
        new = self._build_bundle(old, snapshot, self._bundles, state, cancelled, self._throttle)
        try:
            before = self.adopt(new, instead_of=old)
        except BaseException:
            bundle_store.remove(new.directory)  # or the next server start would open it
            raise
        self._compacted(before, new)
        self._compactions += 1
        bundle_store.remove_others(self._bundles, keep=new.directory)
        logger.info("compacted: bundle_id=%s sequence=%d", new.bundle_id, state.sequence)


def open_newest(root: Path, log: WriteLog, bundles: Path, config: EngineConfig) -> Engine:
    """Open the newest valid bundle that was compacted from `root`, or `root` if there is none.

    Raises:
        BundleError: no bundle can be opened.
    """
    state = State(log.id, log.sequence)
    compacted = bundle_store.finished(bundles)
    return bundle_store.newest(
        root, compacted, state, lambda directory: Engine.load(directory, config, warm=True)
    )
