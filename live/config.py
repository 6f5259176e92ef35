"""Settings of the live catalogue."""

from dataclasses import dataclass

from base.errors import InputError


@dataclass(frozen=True)
class LiveConfig:
    """When writes become visible, and when a new bundle is built."""

    # compact once the number of added and deleted rows reaches this share of the bundle's rows
    compact_share: float = 0.05
    compact_from: int = 2_000  # never compact before this many rows were added or deleted
    check_seconds: float = 1.0  # pause between two checks of how many rows have changed
    retry_build_seconds: float = 60.0  # pause after a failed compaction
    # measure recall again once the number of added and deleted rows has grown by this share of the
    # bundle's rows
    recall_share: float = 0.05
    transaction_writes: int = 1_000  # maximum number of writes in one transaction
    # pause between two transactions, because a few large transactions slow searches less than many
    # small ones
    gather_seconds: float = 0.01
    queued_writes: int = 1_000  # maximum number of writes that wait for a transaction
    # pause before the second attempt to queue a write; a stream doubles the pause before each
    # further attempt, up to max_retry_write_seconds
    retry_write_seconds: float = 0.05
    max_retry_write_seconds: float = 0.4  # longest pause of a stream between two attempts
    # maximum number of items that wait for the encoder; writes that would add one more item wait
    pending_items: int = 10_000
    show_items: int = 128  # maximum number of items made visible in one step
    show_seconds: float = 0.2  # pause between two steps that make items visible
    # pause after a failure to make items visible; each further failure doubles the pause, up to 16
    # times this value
    retry_show_seconds: float = 1.0
    # longest pause of a compaction or a recall measurement while the server answers requests
    give_way_seconds: float = 0.5

    def __post_init__(self) -> None:
        """Check that no value is too small: the server must not loop without a pause.

        Raises:
            InputError: a value is too small.
        """
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
            "max_retry_write_seconds",
            "show_seconds",
            "retry_show_seconds",
            "give_way_seconds",
        ):
            self._require(name, getattr(self, name) > 0, "more than 0")

    def _require(self, name: str, valid: bool, range_: str) -> None:
        if not valid:
            raise InputError(f"live: {name} is {getattr(self, name)}; give {range_}")
