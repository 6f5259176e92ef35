"""Replay of a server's write-ahead log over a dataset's items, for the next bundle."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from base.errors import InputError
from catalog.dataset.problems import quote
from catalog.store import ItemStore
from live import bundle_store
from live.log import reading
from live.log.merge import apply_changes
from live.log.reading import LogSnapshot
from search import bundle
from search.bundle import Manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogReplay:
    """The write-ahead log of a server's state directory, read at one moment.

    Attributes:
        log: The writes in the log.
        items: Items of the last compacted bundle; None if no write needs them, or if there is no
            such bundle.
    """

    log: LogSnapshot
    items: ItemStore | None

    @classmethod
    def read(cls, directory: Path) -> "LogReplay":
        """Read a state directory, which a server may use at the same time.

        Raises:
            InputError: the directory has no log, or the log is damaged.
        """
        log, items = reading.read(directory), None
        if any(not change.whole for change in log.changes):
            items = _compacted(directory / bundle_store.BUNDLES, log.id)
            # Read the log again: the bundle may include writes that were made after the first read.
            log = reading.read(directory)
        logger.info("log replay: state=%s writes=%d", directory, log.sequence)
        return cls(log, items)

    @property
    def state(self) -> Mapping[str, Any]:
        """The record of these writes for the manifest of a bundle."""
        return vars(bundle_store.State(self.log.id, self.log.sequence))

    def apply(self, items: pa.Table) -> pa.Table:
        """Apply the writes to the items of a dataset.

        Raises:
            InputError: no item is left.
        """
        merged = apply_changes(items, self.log.changes, self.items)
        logger.info("log replay: written=%d deleted=%d", merged.written, merged.deleted)
        if merged.unknown:
            logger.warning(
                "warning: items left out, because only some fields were written, and neither the "
                "dataset nor a compacted bundle has the others: items=%d first=%s",
                len(merged.unknown),
                quote(merged.unknown[0]),
            )
        return merged.items


def _compacted(bundles: Path, log: str) -> ItemStore | None:
    """Return the items of the last bundle that includes writes of a log, or None."""
    for directory in bundle_store.finished(bundles):
        try:
            manifest = Manifest.read(directory)
            if manifest.state is not None and manifest.state["log"] == log:
                bundle.verify(directory)
                return ItemStore.read(directory / bundle.ITEMS)
        except (InputError, OSError) as error:  # damaged, or just removed by a server
            logger.warning("warning: bundle skipped: path=%s reason=%r", directory, str(error))
    return None
