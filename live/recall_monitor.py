"""Recall of the index in use: read from its build report, and measured again as items change."""

import logging
from collections.abc import Callable

from search.bundle import Manifest
from search.snapshot import Snapshot

logger = logging.getLogger(__name__)


class RecallMonitor:
    """The share of the exact 10 nearest items that searches of one bundle find.

    Attributes:
        share: The latest measured recall; before the first measurement, the recall in the bundle's
            manifest. None if the manifest has no recall either.
    """

    def __init__(self, manifest: Manifest, changed_share: float = 0.05) -> None:
        """Start with the recall in a bundle's manifest.

        Args:
            manifest: The bundle's manifest.
            changed_share: Measure again once the number of changed rows has grown by this share of
                the bundle's rows.
        """
        self._changed_share = changed_share
        report = manifest.reports.get("index")
        share = report.get("recall@10") if isinstance(report, dict) else None
        self.share = float(share) if isinstance(share, int | float) else None
        self._changed = 0  # number of changed rows at the last measurement

    def update(self, snapshot: Snapshot, give_way: Callable[[], object]) -> None:
        """Measure recall if it is unknown, or if enough rows have changed since it was measured.

        Args:
            snapshot: The items and their indexes.
            give_way: Called before each of many short steps; an exception from it ends the
                measurement.
        """
        changed = snapshot.catalogue.changed_rows
        enough = max(1, self._changed_share * len(snapshot.catalogue.base))
        if self.share is not None and changed - self._changed < enough:
            return
        self.share, self._changed = snapshot.recall_at_10(give_way), changed
        logger.info("recall measured: recall@10=%.4f changed_rows=%d", self.share, changed)
