"""How the live catalogue treats writes."""

from dataclasses import dataclass

from base.errors import InputError


@dataclass(frozen=True)
class LiveConfig:
    """When writes become visible, and when they are built into a new bundle."""

    compact_share: float = 0.05  # compact once this share of the bundle's rows was added or deleted
    compact_from: int = 2_000  # but not before this many rows were added or deleted
    check_seconds: float = 1.0  # pause between two checks of how many rows have changed
    retry_build_seconds: float = 60.0  # pause after a failed compaction
    recall_share: float = 0.05  # measure recall again once this share of the bundle's rows changed
    transaction_writes: int = 1_000  # most writes of one transaction
    # pause between two transactions; few large ones leave searches more time than many small ones
    gather_seconds: float = 0.01
    queued_writes: int = 1_000  # most writes that wait for their transaction
    retry_write_seconds: float = 0.02  # pause between two attempts to queue a write
    # most items that wait for the encoder; beyond them, a write that would add another one waits
    pending_items: int = 10_000
    show_items: int = 128  # most items that are made visible at a time
    show_seconds: float = 0.2  # pause before more items are made visible
    retry_show_seconds: float = 1.0  # pause after items could not be made visible

    def __post_init__(self) -> None:
        """Refuse values with which the server would compact, or try again, without a pause."""
        for name in ("compact_from", "transaction_writes", "queued_writes", "show_items"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("pending_items", "gather_seconds"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        for name in (
            "compact_share",
            "check_seconds",
            "retry_build_seconds",
            "recall_share",
            "retry_write_seconds",
            "show_seconds",
            "retry_show_seconds",
        ):
            self._require(name, getattr(self, name) > 0, "more than 0")

    def _require(self, name: str, valid: bool, range_: str) -> None:
        if not valid:
            raise InputError(f"live: {name} is {getattr(self, name)}; give {range_}")
