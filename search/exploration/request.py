"""The exploration that a request asks for; the checks name the fields of `exploration.proto`."""

from dataclasses import dataclass
from enum import StrEnum

from base.errors import RequestError, check_range

MAX_SEED = 2**63 - 1


class Method(StrEnum):
    """How an exploring position chooses its item."""

    EPSILON_GREEDY = "epsilon-greedy"  # every item of the pool is equally likely
    # an item is as likely as it is that its click rate is the highest of the pool
    THOMPSON_SAMPLING = "Thompson sampling"


@dataclass(frozen=True)
class Exploration:
    """How to explore.

    Raises:
        RequestError: a field is out of its limits.
    """

    method: Method
    share: float  # largest share of positions that explore
    seed: int = 0  # of all random choices

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        if not 0 < self.share <= 1:
            problem = f"is {self.share}; give a number above 0, and at most 1"
            raise RequestError("exploration.share", problem)
        check_range(self.seed, "exploration.seed", 0, MAX_SEED)
