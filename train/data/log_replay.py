"""What was written to a server's catalogue, for the next bundle to begin with."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from base.errors import InputError
from catalog.dataset.problems import count, quote
from catalog.store import ItemStore
from live import bundle_store, log_reading
from live.log_merge import apply_changes
from live.log_reading import LogSnapshot
from search import bundle
from search.bundle import Manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """The log of a state directory at one moment.

    Attributes:
        log: The log.
        items: The items of the last bundle that a server compacted, where some of them may be
            needed; None where there is none.
    """

    log: LogSnapshot
    items: ItemStore | None

    @classmethod
    def read(cls, directory: Path) -> "Written":
        """Read a state directory, which a server may be using.

        Raises:
            InputError: it has no log, or a damaged one.
        """
        log, items = log_reading.read(directory), None
        if any(not change.whole for change in log.changes):
            items = _compacted(directory / bundle_store.BUNDLES, log.id)
            # Again, for the bundle may have writes that came since.
            log = log_reading.read(directory)
        logger.info("%s has %s", directory, count(log.sequence, "write"))
        return cls(log, items)

    @property
    def state(self) -> Mapping[str, Any]:
        """What a bundle with these writes says of them in its manifest."""
        return vars(bundle_store.State(self.log.id, self.log.sequence))

    def apply(self, items: pa.Table) -> pa.Table:
        """The items of a dataset with these writes.

        Raises:
            InputError: no item is left.
        """
        found = apply_changes(items, self.log.changes, self.items)
        logger.info(
            "%s written, %s deleted", count(found.written, "item"), count(found.deleted, "item")
        )
        if found.unknown:
            logger.warning(
                "warning: %s left out, such as %s: only some fields were written, and neither the "
                "dataset nor a compacted bundle has the others",
                count(len(found.unknown), "item"),
                quote(found.unknown[0]),
            )
        return found.items


def _compacted(bundles: Path, log: str) -> ItemStore | None:
    """The items of the last bundle with writes of a log; None where there is none."""
    for directory in bundle_store.finished(bundles):
        try:
            manifest = Manifest.read(directory)
            if manifest.state is not None and manifest.state["log"] == log:
                bundle.verify(directory)
                return ItemStore.read(directory / bundle.ITEMS)
        except (InputError, OSError) as error:  # damaged, or a server removed it meanwhile
            logger.warning("warning: passed over: %s", error)
    return None
