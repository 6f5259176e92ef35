"""The three threads of a live catalogue: the writer, the indexer and the builder of bundles."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeAlias

from base.error_logging import RepeatedErrors
from base.panics import panics_as_errors
from live.compaction import CompactionCancelledError
from live.config import LiveConfig
from live.errors import ClosedError
from live.indexing.active_index import ActiveIndex
from live.log.write_ahead_log import (
    Acknowledgement,
    NoItemError,
    RequestIdReusedError,
    Write,
)
from live.throttle import Throttle
from search.errors import UnknownItemsError

logger = logging.getLogger(__name__)

QueuedWrite: TypeAlias = tuple[Write, "Future[Acknowledgement]"]

_LONGEST_RETRY = 16  # longest pause after failures, as a multiple of the first pause


class Writer:
    """A thread that makes queued writes durable, many in one transaction."""

    def __init__(
        self, index: ActiveIndex, config: LiveConfig, committed: Callable[[], None]
    ) -> None:
        """Start the thread.

        Args:
            index: Commits the writes.
            config: How many writes may wait, and how many writes one transaction may have.
            committed: Called after each transaction.
        """
        self._index = index
        self._config = config
        self._committed = committed
        self._errors = RepeatedErrors(logger)
        self._queue: queue.Queue[QueuedWrite | None] = queue.Queue(maxsize=config.queued_writes)
        self._closed = threading.Event()
        # Held to queue a write and to close: no write may follow the None that ends the thread.
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="catalogue-writer", daemon=True)
        self._thread.start()

    def write_soon(self, write: Write) -> "Future[Acknowledgement] | None":
        """Queue a write as `write` does, but return None if the write would have to wait.

        Raises:
            ClosedError: after `stop`.
        """
        delta_index = self._index.delta_index
        with self._closing:
            if self._closed.is_set():
                raise ClosedError("the catalogue takes no more writes")
            too_many = len(delta_index.pending) > self._config.pending_items
            if too_many and delta_index.would_wait(write):
                return None
            future: Future[Acknowledgement] = Future()
            future.set_running_or_notify_cancel()  # so that the caller cannot cancel the write
            try:
                self._queue.put_nowait((write, future))
            except queue.Full:
                return None
            return future

    def write(self, write: Write) -> "Future[Acknowledgement]":
        """Queue a write, and wait while there is no room; see `LiveCatalogue.write`."""
        while (future := self.write_soon(write)) is None:
            self._closed.wait(self._config.retry_write_seconds)
        return future

    def stop(self) -> None:
        """Refuse new writes; the thread ends after the queued writes are done."""
        with self._closing:
            first = not self._closed.is_set()
            self._closed.set()
        if first:
            self._queue.put(None)

    def join(self) -> None:
        """Wait for the thread to end."""
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = self._batch(first)
            try:
                with panics_as_errors():
                    self._commit(batch)
            except Exception as error:  # no failure may end the thread
                self._errors.log(error, "writes could not be made")
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            self._committed()
            self._closed.wait(self._config.gather_seconds)

    def _batch(self, first: QueuedWrite) -> list[QueuedWrite]:
        """Return the writes of one transaction: `first`, then queued writes up to the limit."""
        batch = [first]
        while len(batch) < self._config.transaction_writes and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                self._queue.put(None)
                break
            batch.append(following)
        return batch

    def _commit(self, batch: list[QueuedWrite]) -> None:
        outcomes = self._index.commit([write for write, _ in batch])
        # Complete the last future first. A stream waits for the future of its first write, and
        # expects that its other futures in this batch are then done too.
        for outcome, (_, future) in zip(reversed(outcomes), reversed(batch), strict=True):
            if isinstance(outcome, Acknowledgement):
                future.set_result(outcome)
            else:
                future.set_exception(_caller_error(outcome))


class Indexer:
    """A thread that encodes pending items and makes them visible."""

    def __init__(self, index: ActiveIndex, config: LiveConfig) -> None:
        """Start the thread.

        Args:
            index: Holds the pending items.
            config: How many items to show at a time, and how often.
        """
        self._index = index
        self._config = config
        self._errors = RepeatedErrors(logger)
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalogue-indexer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell the thread to look for pending items."""
        self._wake.set()

    def stop(self) -> None:
        """Tell the thread to end; pending items stay pending."""
        self._closed.set()
        self._wake.set()

    def join(self) -> None:
        """Wait for the thread to end."""
        self._thread.join()

    def _run(self) -> None:
        first_pause = pause = self._config.retry_show_seconds
        while not self._closed.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                with panics_as_errors():
                    self._index.show(self._config.show_items)
                pause = first_pause
            except Exception as error:  # no failure may end the thread
                self._errors.log(error, "written items could not be indexed yet")
                self._closed.wait(pause)
                pause = min(2 * pause, _LONGEST_RETRY * first_pause)
            if self._index.delta_index.pending:
                self._wake.set()
            self._closed.wait(self._config.show_seconds)


class Builder:
    """A thread that measures recall, and compacts, each time enough rows have changed."""

    def __init__(
        self,
        index: ActiveIndex,
        config: LiveConfig,
        throttle: Throttle,
        compact: Callable[[threading.Event], None],
    ) -> None:
        """Start the thread.

        Args:
            index: Has the items and the recall of their index.
            config: When to compact, and when to try again.
            throttle: Makes the measurement wait while there are requests.
            compact: Builds a new bundle and puts it to use; stops early once the event is set.
        """
        self._index = index
        self._config = config
        self._throttle = throttle
        self._compact = compact
        self._errors = RepeatedErrors(logger)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalogue-builder", daemon=True)
        self._thread.start()

    def compact(self) -> None:
        """Build a new bundle now, on the caller's thread, and put it to use."""
        self._compact(self._closed)

    def stop(self) -> None:
        """Tell the thread to end, and cancel a running compaction."""
        self._closed.set()

    def join(self) -> None:
        """Wait for the thread to end."""
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._config.check_seconds):
            try:
                with panics_as_errors():
                    self._check()
            except ClosedError:
                return
            except CompactionCancelledError:
                logger.info("compaction stopped, all writes are kept: reason='the server stops'")
            except Exception as error:  # no failure may end the thread
                self._errors.log(error, "no new bundle was built, all writes are kept")
                self._closed.wait(self._config.retry_build_seconds)

    def _check(self) -> None:
        """Measure recall, then compact; do either only if enough rows have changed."""
        index = self._index
        recall_monitor, snapshot = index.recall_monitor, index.delta_index.engine.snapshot
        recall_monitor.update(snapshot, self._give_way)
        catalogue = index.delta_index.engine.snapshot.catalogue
        share = self._config.compact_share * len(catalogue.base)
        if catalogue.changed_rows >= max(self._config.compact_from, share):
            self.compact()

    def _give_way(self) -> None:
        """Wait while there are requests; raise ClosedError if `stop` was called."""
        self._throttle.give_way()
        if self._closed.is_set():
            raise ClosedError("the catalogue is closed")


def _caller_error(error: NoItemError | RequestIdReusedError) -> Exception:
    """Return the error that the caller of a refused write sees."""
    return UnknownItemsError((error.item_id,)) if isinstance(error, NoItemError) else error
