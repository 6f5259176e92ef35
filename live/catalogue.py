"""The catalogue changes while it is searched: writes are logged, shown, and built into bundles.

Three threads do it. The writer makes writes durable, all that came meanwhile in one transaction,
and acknowledges them; deletions and numbers are visible by then. The indexer encodes and shows the
rest a moment later; while too much waits for it, writes that would add to that are not taken, and
all others are. The builder measures recall where nothing says what it is and as the catalogue
changes, and compacts: it builds a bundle of the items as they are and puts it in the place of the
one that they were written over.
"""

import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from base.error_logging import log_error
from base.errors import InputError
from live import bundle_store, compaction
from live.compaction import CompactionError
from live.delta_index import DeltaIndex
from live.log_fields import FieldError
from live.recall_monitor import RecallMonitor
from live.throttle import Throttle
from live.write_ahead_log import NoItemError, RequestIdReusedError, Write, WriteLog, Written
from search.config import EngineConfig, LiveConfig
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.errors import RequestError, UnknownItemsError
from search.result import ClosedError

logger = logging.getLogger(__name__)

_BATCH = 1_000  # most writes of one transaction
_GATHER_SECONDS = 0.01  # between two: a few large ones leave searches more than many small ones
_MAX_QUEUED = 1_000  # writes that wait for their transaction: what is next waits for two at most
_SHOWN_AT_A_TIME = 128  # items encoded between two views
_REPLAYED_AT_A_TIME = 8_192  # of those that nobody searches yet
_PACE_SECONDS = 0.2  # between two views: each takes some milliseconds to make
_MAX_PENDING = 10_000  # items that wait to be shown; then writes that would add others wait too
_ROOM_SECONDS = 0.02  # between two looks at whether a write still has to wait
_LOOK_SECONDS = 1.0  # between two looks at how much has changed
_PAUSE_SECONDS = 60.0  # after a bundle could not be built

_SCRATCH = "scratch"  # in a state directory: files of the process that has it

Queued: TypeAlias = tuple[Write, "Future[Written]"]


@dataclass(frozen=True)
class LiveReport:
    """How the live catalogue stands.

    Attributes:
        sequence: Of the last write.
        visible_sequence: Up to which everything written is found.
        pending: Items that wait to be encoded and shown.
        set_aside: Items that could not be encoded, and are found as they were before, if at all.
        added: Rows behind those of the bundle.
        dead: Rows that are no longer items.
        freshness: Seconds from acknowledgement to being found, of the last 1,000 items that had to
            be encoded: the median and the 99th percentile; None before the first.
        recall: Share of the exact 10 nearest items that are found, see `RecallMonitor`.
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
    """Writes to the items of the engine in a slot. Safe to use from several threads."""

    def __init__(
        self,
        engine_handle: EngineHandle,
        log: WriteLog,
        bundles: Path,
        config: LiveConfig,
        compacted: Callable[[Engine, Engine], None] = lambda _before, _engine: None,
        throttle: Throttle | None = None,
    ) -> None:
        """Bring the slot's engine up to date with the log, and begin to take writes.

        Args:
            engine_handle: Whose engine is written to, and in which its successors are put.
            log: Where writes are made durable; closed with this. What a killed process left beside
                it is removed.
            bundles: Where compaction puts its bundles.
            config: When to compact.
            compacted: Told of the engine before and the one of the new bundle that took its place.
            throttle: Requests that a compaction and measuring give way to.
        """
        self._throttle = throttle or Throttle()
        self._engine_handle = engine_handle
        self._log = log
        self._bundles = bundles
        self._config = config
        self._compacted = compacted
        self._queue: queue.Queue[Queued | None] = queue.Queue(maxsize=_MAX_QUEUED)
        self._closed = threading.Event()
        self._closing = threading.Lock()  # nothing is queued behind the mark that ends the writer
        self._writing = threading.Lock()  # of the log and what is applied of it
        self._showing = threading.Lock()
        self._compacting = threading.Lock()  # one bundle at a time is built, and others removed
        self._wake = threading.Event()
        bundle_store.sweep(bundles)
        self._scratch = log.path.parent / _SCRATCH
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        self._delta_index = DeltaIndex(engine_handle.engine, self._scratch)
        self._replay(self._delta_index)
        self._recall_monitor = RecallMonitor(engine_handle.engine.manifest)
        self._compactions = 0
        self._threads = [
            threading.Thread(target=target, name=f"catalogue-{target.__name__}", daemon=True)
            for target in (self._write, self._index, self._build)
        ]
        for thread in self._threads:
            thread.start()

    def write_soon(self, write: Write) -> "Future[Written] | None":
        """Queue a write as `write` does, or return None where that would have to wait.

        Raises:
            ClosedError: after `close`.
        """
        delta_index = self._delta_index
        with self._closing:
            if self._closed.is_set():
                raise ClosedError("the catalogue takes no more writes")
            if len(delta_index.pending) > _MAX_PENDING and delta_index.would_wait(write):
                return None
            future: Future[Written] = Future()
            future.set_running_or_notify_cancel()  # who waits for it may go, and the write is made
            try:
                self._queue.put_nowait((write, future))
            except queue.Full:
                return None
            return future

    def write(self, write: Write) -> "Future[Written]":
        """Queue a write; the future is done once it is durable, or holds what was wrong with it.

        A write that would make one more item wait to be encoded waits here while too many do.

        Its errors: RequestError for a malformed write or a request id that came before with
        another one, UnknownItemsError for a partial write to an item that does not exist,
        LogError when the disk fails.

        Raises:
            ClosedError: after `close`.
        """
        while (future := self.write_soon(write)) is None:
            self._closed.wait(_ROOM_SECONDS)
        return future

    def adopt(self, engine: Engine, instead_of: Engine | None = None) -> Engine:
        """Put another engine into the slot, once it has all that is found in the one there.

        Args:
            engine: The one to put there.
            instead_of: The one to take the place of; None for whichever is there.

        Returns:
            The engine before it, which may still be in use.

        Raises:
            BundleError: the bundle has later writes of this log.
            CompactionError: another than `instead_of` is there by now.
        """
        delta_index = DeltaIndex(engine, self._scratch)
        try:
            self._replay(delta_index)
            with self._showing:  # what is visible before changes by deletions and numbers alone
                self._replay(delta_index)  # what was written meanwhile: soon done
                with self._writing:
                    self._apply(delta_index)  # what came after that; what waits there waits here
                    before = self._delta_index
                    if instead_of not in (None, before.engine):
                        raise CompactionError("another bundle took the place of the one it is of")
                    self._delta_index = delta_index
                    self._recall_monitor = RecallMonitor(engine.manifest)
                    engine_before = self._engine_handle.swap(engine)
                    before.engine.successor = engine
        except BaseException:
            delta_index.close()
            raise
        before.close()
        self._wake.set()
        return engine_before

    def report(self) -> LiveReport:
        """How it stands."""
        delta_index = self._delta_index
        catalogue = delta_index.engine.snapshot.catalogue
        waits = list(delta_index.waits)
        last = self._log.sequence
        return LiveReport(
            sequence=last,
            visible_sequence=delta_index.sequence(),
            pending=len(delta_index.pending),
            set_aside=len(delta_index.aside),
            added=catalogue.added_rows,
            dead=catalogue.rows_in_all - len(catalogue),
            freshness=(float(np.median(waits)), float(np.quantile(waits, 0.99))) if waits else None,
            recall=self._recall_monitor.share,
            compactions=self._compactions,
        )

    def close(self) -> None:
        """Finish the writes that were queued, and stop."""
        with self._closing:
            first = not self._closed.is_set()
            self._closed.set()
        if first:
            self._queue.put(None)
        self._wake.set()
        for thread in self._threads:
            thread.join()
        if first:
            self._delta_index.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._log.close()

    # ---- catching up

    def _replay(self, delta_index: DeltaIndex) -> None:
        """Bring an overlay to the log's last write, all visible but what cannot be encoded.

        Raises:
            BundleError: the bundle has later writes of this log, so new ones would be lost.
        """
        self._apply(delta_index)
        engine, now = delta_index.engine, self._engine_handle.engine
        known = now.snapshot if now is not engine and now.models is engine.models else None
        while delta_index.pending:
            delta_index.show(_REPLAYED_AT_A_TIME, known)

    def _apply(self, delta_index: DeltaIndex) -> None:
        """Let an overlay take in what it has not of the log; raises as `_replay`."""
        bundle_store.require_log(
            delta_index.engine.directory, delta_index.engine.manifest, self._state()
        )
        included = bundle_store.included(delta_index.engine.manifest, self._log.id)
        delta_index.applied = max(delta_index.applied, included)
        changes = self._log.changes(after=delta_index.applied)
        delta_index.apply((change.sequence, change) for change in changes)

    def _state(self) -> bundle_store.State:
        return bundle_store.State(self._log.id, self._log.sequence)

    # ---- the writer

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < _BATCH and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                batch.append(following)
            try:
                with self._writing:
                    self._commit(batch)
            except Exception as error:  # the thread must outlive every batch
                log_error(logger, error, "writes could not be made")
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            self._wake.set()
            time.sleep(_GATHER_SECONDS)

    def _commit(self, batch: Sequence[Queued]) -> None:
        """Make writes durable and apply them; each that cannot be made learns why."""
        delta_index = self._delta_index
        if delta_index.applied < self._log.sequence:
            self._apply(delta_index)  # what was written before, and then could not be applied
        outcomes = self._log.append([write for write, _ in batch], delta_index.has)
        made = [
            (outcome, write)
            for outcome, (write, _) in zip(outcomes, batch, strict=True)
            if isinstance(outcome, Written)
        ]
        fresh = [(outcome.sequence, write) for outcome, write in made if not outcome.repeated]
        if fresh and fresh[0][0] == delta_index.applied + 1:
            delta_index.apply(fresh)
        elif any(outcome.sequence > delta_index.applied for outcome, _ in made):
            self._apply(delta_index)  # a transaction before this one failed, and is on the disk
        # The last first: who waits for the first, as streams do, then finds all others done.
        for outcome, (_, future) in zip(reversed(outcomes), reversed(batch), strict=True):
            if isinstance(outcome, Written):
                future.set_result(outcome)
            else:
                future.set_exception(_told(outcome))

    # ---- the indexer

    def _index(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                with self._showing:
                    self._delta_index.show(_SHOWN_AT_A_TIME)
            except Exception as error:
                log_error(logger, error, "items that were written could not be indexed yet")
                time.sleep(_LOOK_SECONDS)
            if self._delta_index.pending:
                self._wake.set()
            self._closed.wait(_PACE_SECONDS)

    # ---- the builder

    def _build(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            try:
                recall_monitor, snapshot = self._recall_monitor, self._delta_index.engine.snapshot
                recall_monitor.update(snapshot, self._give_way)
                catalogue = self._delta_index.engine.snapshot.catalogue
                share = self._config.compact_share * len(catalogue.base)
                if catalogue.changed_rows >= max(self._config.compact_from, share):
                    self.compact()
            except ClosedError:
                return
            except (InputError, OSError, CompactionError) as error:
                logger.error("no new bundle was built, what was written is kept: %s", error)
                self._closed.wait(_PAUSE_SECONDS)
            except Exception as error:  # the thread must outlive every build
                log_error(logger, error, "no new bundle was built, what was written is kept")
                self._closed.wait(_PAUSE_SECONDS)

    def _give_way(self) -> None:
        """Let requests go first; raises ClosedError once nobody wants the result any more."""
        self._throttle.give_way()
        if self._closed.is_set():
            raise ClosedError("the catalogue is closed")

    def compact(self) -> None:
        """Build a bundle of the items as they are, and put it in place of the present one.

        Raises:
            CompactionError: it could not be built; all goes on as before.
        """
        with self._compacting:
            self._compact()

    def _compact(self) -> None:
        with self._writing:
            delta_index = self._delta_index
            sequence = delta_index.sequence()
            snapshot = delta_index.engine.snapshot  # has all of that, perhaps more
            state = bundle_store.State(self._log.id, sequence)
        old = delta_index.engine
        engine = compaction.build(old, snapshot, self._bundles, state, self._closed, self._throttle)
        try:
            before = self.adopt(engine, instead_of=old)
        except BaseException:
            bundle_store.remove(engine.directory)  # or the next start would try it
            raise
        self._compacted(before, engine)
        self._compactions += 1
        bundle_store.clean(self._bundles, keep=engine.directory)
        logger.info("bundle %s has all writes up to %d", engine.bundle_id, sequence)


def open_newest(root: Path, log: WriteLog, bundles: Path, config: EngineConfig) -> Engine:
    """The engine to begin with: of the last bundle compacted from `root`, else of `root`.

    Raises:
        BundleError: the root cannot be used, and neither can any that was compacted from it.
    """
    state = bundle_store.State(log.id, log.sequence)
    return bundle_store.newest(
        root, bundles, state, lambda directory: Engine.load(directory, config, warm=True)
    )


def _told(error: Exception) -> Exception:
    """What the caller of a write is told about an error."""
    match error:
        case RequestIdReusedError():
            return RequestError("request_id", "was used for another write; choose a new one")
        case FieldError():
            return RequestError(f"item.{error.field}", error.problem)
        case NoItemError():
            return UnknownItemsError((error.item_id,))
        case _:
            return error
