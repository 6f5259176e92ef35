"""The delta index in use: it has all writes of the log, and its engine answers searches."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from base.errors import StorageError
from live import bundle_store
from live.bundle_store import State
from live.compaction import CompactionError
from live.config import LiveConfig
from live.indexing.curations import LiveCurations
from live.indexing.delta_index import DeltaIndex
from live.log.curations import CurationChange, CurationVersion
from live.log.write_ahead_log import Acknowledgement, Outcome, Write, WriteLog
from live.recall_monitor import RecallMonitor
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.snapshot import Snapshot

# items made visible in one step of a replay; a step may be long, because no search waits for it
_REPLAY_ITEMS = 8_192

OpenIndex: TypeAlias = Callable[[Engine, Path], DeltaIndex]


class ActiveIndex:
    """The log, and the delta index with all writes of the log. Safe to use from several threads.

    Attributes:
        delta_index: The delta index in use; `adopt` replaces it.
        curations: The live curations, which the engine in use has; `curate` replaces them.
        recall_monitor: Recall of the engine in use.
    """

    def __init__(
        self,
        engine_handle: EngineHandle,
        log: WriteLog,
        scratch: Path,
        config: LiveConfig,
        open_index: OpenIndex = DeltaIndex,
    ) -> None:
        """Apply the log's writes to the engine in use.

        If the written items cannot be indexed, for example because the disk is full, they stay
        pending.

        Args:
            engine_handle: Holds the engine in use, which answers searches.
            log: The log of all writes.
            scratch: A directory for temporary files, created when it is needed.
            config: When to measure recall.
            open_index: Opens the delta index of an engine.

        Raises:
            BundleError: the engine's bundle includes writes that the log lacks.
            LogError: the curations of the log cannot be read.
        """
        self._engine_handle = engine_handle
        self._log = log
        self._scratch = scratch
        self._config = config
        self._open_index = open_index
        self._writing = threading.Lock()  # held to append to the log and to apply its writes
        self._showing = threading.Lock()  # held to make items visible
        self.curations = LiveCurations()
        self.delta_index = open_index(engine_handle.engine, scratch)
        self._apply_curations(self.delta_index)
        with suppress(StorageError):  # the next call of `show` fails too, or succeeds
            self._replay(self.delta_index)
        self.recall_monitor = self._monitor(engine_handle.engine)

    @property
    def last_sequence(self) -> int:
        """Sequence number of the log's last write."""
        return self._log.sequence

    def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """Make writes durable and apply them; return the outcome of each write.

        Raises:
            LogError: the file cannot be written.
            Exception: the writes are durable but could not be applied. The next call applies them.
        """
        with self._writing:
            delta_index = self.delta_index
            if delta_index.applied < self._log.sequence:
                self._catch_up(delta_index)  # earlier writes that failed to apply
            outcomes = self._log.append(writes, delta_index.has)
            durable = [
                (outcome, write)
                for outcome, write in zip(outcomes, writes, strict=True)
                if isinstance(outcome, Acknowledgement)
            ]
            new = [(outcome.sequence, write) for outcome, write in durable if not outcome.repeated]
            if new and new[0][0] == delta_index.applied + 1:
                delta_index.apply(new)
            elif any(outcome.sequence > delta_index.applied for outcome, _ in durable):
                # An earlier `append` failed after its writes were durable: apply them now.
                self._catch_up(delta_index)
        return outcomes

    def curate(self, change: CurationChange) -> Acknowledgement:
        """Make a change of a curation durable, and let searches use it.

        Raises:
            RequestError: the change does not fit the other curations or the catalogue.
            LogError: the file cannot be written.
            Exception: as from `WriteLog.curate`, if the change is refused.
        """
        with self._writing:
            delta_index = self.delta_index
            if delta_index.applied < self._log.sequence:
                self._catch_up(delta_index)
            snapshot = delta_index.engine.snapshot

            def check(version: CurationVersion) -> None:
                live_rules = snapshot.curations.live_rules
                self.curations.check(change, version, live_rules, snapshot.catalogue.roles)

            acknowledgement = self._log.curate(change, check)
            if acknowledgement.sequence > delta_index.applied:
                self._catch_up(delta_index)
        return acknowledgement

    def show(self, most: int) -> None:
        """Make at most `most` pending items visible."""
        with self._showing:
            self.delta_index.show(most)

    def settled(self) -> tuple[Engine, Snapshot, State]:
        """Return the engine, a snapshot of its items, and the writes that the snapshot includes."""
        with self._writing:
            sequence = self.delta_index.visible_sequence()
            engine = self.delta_index.engine
            # The snapshot may include some later writes too; a replay applies them again.
            return engine, engine.snapshot, State(self._log.id, sequence)

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
        delta_index = self._open_index(engine, self._scratch)
        try:
            self._replay(delta_index)
            # While this lock is held, only deletions and changed numbers become visible.
            with self._showing:
                self._replay(delta_index)  # the few writes since the first replay
                with self._writing:
                    self._catch_up(delta_index)  # the last writes; their items stay pending
                    old = self.delta_index
                    if instead_of not in (None, old.engine):
                        raise CompactionError("another bundle came into use meanwhile")
                    self.delta_index = delta_index
                    self.recall_monitor = self._monitor(engine)
                    old_engine = self._engine_handle.swap(engine)
                    old.engine.successor = engine
        except BaseException:
            delta_index.close()
            raise
        old.close()
        return old_engine

    def close(self) -> None:
        """Close the delta index; the log stays open."""
        self.delta_index.close()

    def _monitor(self, engine: Engine) -> RecallMonitor:
        return RecallMonitor(engine.manifest, self._config.recall_share)

    def _replay(self, delta_index: DeltaIndex) -> None:
        """Apply the log's writes, and make every item visible that can be encoded.

        Raises:
            BundleError: the bundle includes writes that the log lacks.
        """
        self._apply_log(delta_index)
        engine, current = delta_index.engine, self._engine_handle.engine
        same_models = current is not engine and current.models is engine.models
        known = current.snapshot if same_models else None
        while delta_index.pending:
            delta_index.show(_REPLAY_ITEMS, known)

    def _catch_up(self, delta_index: DeltaIndex) -> None:
        """Apply everything in the log that a delta index lacks, while no write is made."""
        self._apply_curations(delta_index)
        self._apply_log(delta_index)

    def _apply_curations(self, delta_index: DeltaIndex) -> None:
        later = self._log.curations(after=self.curations.sequence)
        self.curations = self.curations.changed(later, self._log.path)
        delta_index.curate(self.curations.curations)

    def _apply_log(self, delta_index: DeltaIndex) -> None:
        """Apply the log's writes that a delta index lacks.

        Raises:
            BundleError: the bundle includes writes that the log lacks.
        """
        manifest, state = delta_index.engine.manifest, State(self._log.id, self._log.sequence)
        bundle_store.require_log(delta_index.engine.directory, manifest, state)
        included = bundle_store.included(manifest, self._log.id)
        delta_index.applied = max(delta_index.applied, included)
        changes = self._log.changes(after=delta_index.applied)
        delta_index.apply((change.sequence, change) for change in changes)
        # The last writes may have changed curations only.
        delta_index.applied = max(delta_index.applied, state.sequence)
