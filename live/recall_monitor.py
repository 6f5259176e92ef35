"""Recall of the index that is served: known from its build, and measured again as items change."""

import logging
from collections.abc import Callable

from search.bundle import Manifest
from search.snapshot import Snapshot

logger = logging.getLogger(__name__)

_EVERY = 0.05  # of the rows changed: recall is measured again


class RecallMonitor:
    """How many of the exact 10 nearest items searches of one bundle find.

    Attributes:
        share: When last measured: when the bundle was built, or since. None before the first time,
            where its manifest does not say.
    """

    def __init__(self, manifest: Manifest) -> None:
        """Begin with what the build of a bundle said."""
        report = manifest.reports.get("index")
        share = report.get("recall@10") if isinstance(report, dict) else None
        self.share = float(share) if isinstance(share, int | float) else None
        self._changed = 0  # rows, when it was last measured

    def update(self, snapshot: Snapshot, give_way: Callable[[], object]) -> None:
        """Measure, if enough of the bundle's rows has changed since or nothing says what it is.

        Args:
            snapshot: The items as they are, and their indexes.
            give_way: Called before each of many short steps; what it raises ends all.
        """
        changed = snapshot.catalogue.changed_rows
        enough = max(1, _EVERY * len(snapshot.catalogue.base))
        if self.share is not None and changed - self._changed < enough:
            return
        self.share, self._changed = snapshot.recall_at_10(give_way), changed
        logger.info("recall@10 is %.4f with %d rows changed", self.share, changed)
