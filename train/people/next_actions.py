"""Training examples of the user tower: a moment, the history before it, and the next session.

The moment of an example is a day before the next session, at most `horizon_days` before, and after
the user's previous session. A recommendation does not know when its user will buy. The examples are
drawn by moment, so that a batch needs the items' features at few moments. Examples are of two
kinds:

- Next session: the history is that of a user with earlier sessions.
- Completion: up to `shown` items of the next session are part of the history, and the others are to
  be found. For a share `new_users` of these examples, the earlier sessions are hidden, so that the
  tower learns what to show to new users. Users without earlier sessions only have such examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32, Int64

from base.errors import InputError
from behaviour.interactions import SECONDS_PER_DAY, Interactions
from catalog.events import EVENT_TYPES
from train.data.relevance import EVENT_GRADES

# The columns of an example in a plan.
SESSION, DAY, COMPLETION = range(3)


@dataclass(frozen=True)
class NextActionsConfig:
    """Which examples the user tower trains on."""

    horizon_days: int = 30  # longest time from the moment of an example to the session to predict
    half_life_days: float = 60.0  # age at which the moment of an example is drawn half as often
    completions: float = 0.5  # share of examples that complete a session
    new_users: float = 0.3  # share of completions without the events before the session
    shown: int = 3  # largest number of a session's items that a completion shows
    moments: int = 4  # number of moments in a training step
    examples: int = 32  # number of examples of each moment
    steps: int = 200  # number of training steps
    new_items: bool = True  # predict only items that are new to the user
    first_days: int = 20  # days at the start of the data that only fill histories

    def __post_init__(self) -> None:
        """Check that the numbers are in range."""
        for name in ("horizon_days", "moments", "examples", "steps"):
            if getattr(self, name) < 1:
                raise InputError(f"next actions: {name} is {getattr(self, name)}; give 1 or more")
        for name in ("completions", "new_users"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"next actions: {name} {getattr(self, name)} is not in [0, 1]")
        if not self.half_life_days > 0:
            raise InputError(f"next actions: half_life_days {self.half_life_days} is not above 0")


@dataclass(frozen=True)
class Sessions:
    """The sessions of all users, in the order of users and then of time; days count from the first.

    Attributes:
        item: Item row of each event, sorted by session.
        type: Type of each event.
        time: Time of each event in seconds since 1970.
        grade: Grade of each event, from `EVENT_GRADES`.
        first: First event of each session, then the number of events.
        start: First event of each session's user.
        user: User of each session.
        day: Day of each session's first event.
        previous: Day of the user's previous session; -1 without one.
        origin: Start of day 0, in seconds since 1970.
    """

    item: Int32[np.ndarray, " events"]
    type: Int[np.ndarray, " events"]
    time: Int64[np.ndarray, " events"]
    grade: Float32[np.ndarray, " events"]
    first: Int64[np.ndarray, " sessions_and_end"]
    start: Int64[np.ndarray, " sessions"]
    user: Int32[np.ndarray, " sessions"]
    day: Int64[np.ndarray, " sessions"]
    previous: Int64[np.ndarray, " sessions"]
    origin: int

    @classmethod
    def of(cls, interactions: Interactions) -> "Sessions":
        """Sort events with a grade by session."""
        events = interactions.of_types(*EVENT_GRADES)
        order = np.argsort(events.session, kind="stable")
        number = events.session_numbers()[order]
        user, time = events.user[order], events.time[order]
        first = np.searchsorted(number, np.arange(number.max(initial=-1) + 2))
        owner = user[first[:-1]]
        origin = int(time.min(initial=time.max(initial=0))) // SECONDS_PER_DAY * SECONDS_PER_DAY
        day = (time[first[:-1]] - origin) // SECONDS_PER_DAY
        same = np.diff(owner, prepend=-1) == 0
        grades = np.array([EVENT_GRADES.get(name, 0.0) for name in EVENT_TYPES], np.float32)
        return cls(
            events.item[order],
            events.type[order],
            time,
            grades[events.type[order]],
            first,
            np.searchsorted(user, owner),
            owner,
            day,
            np.where(same, np.roll(day, 1), -1),
            origin,
        )

    def plan(self, config: NextActionsConfig, seed: int) -> list[Int64[np.ndarray, "batch 3"]]:
        """Draw the examples of every training step: session, day of the moment, and kind.

        The plan is empty if no user has sessions on two days.
        """
        random = np.random.default_rng(seed)
        last = int(self.day.max(initial=0))
        days = np.arange(min(config.first_days, last), last + 1)
        days = days[[self._next(day, config)[0].any() for day in days.tolist()]]
        if not len(days):
            return []
        weights = np.exp2(-(last - days) / config.half_life_days)
        plan = []
        for _ in range(config.steps):
            drawn = random.choice(days, config.moments, p=weights / weights.sum())
            plan.append(np.concatenate([self._draw(d, config, random) for d in drawn.tolist()]))
        return plan

    def _next(
        self, day: int, config: NextActionsConfig
    ) -> tuple[Bool[np.ndarray, " sessions"], Bool[np.ndarray, " sessions"]]:
        """Return the first sessions from a day on of users with, and of users without a history."""
        soon = (self.previous < day) & (day <= self.day) & (self.day < day + config.horizon_days)
        return soon & (self.previous >= 0), soon & (self.previous < 0)

    def _draw(
        self, day: int, config: NextActionsConfig, random: np.random.Generator
    ) -> Int64[np.ndarray, "examples 3"]:
        """Draw the examples of one moment."""
        known, new = self._next(day, config)
        several = np.flatnonzero((known | new) & (np.diff(self.first) > 1))
        completions = round(config.completions * config.examples) if len(several) else 0
        rows = np.empty((config.examples, 3), np.int64)
        rows[:, DAY] = day
        rows[:, COMPLETION] = np.arange(config.examples) < completions
        for kind, sessions in enumerate((np.flatnonzero(known), several)):
            chosen = rows[:, COMPLETION] == kind
            count = int(chosen.sum())
            if count:
                rows[chosen, SESSION] = random.choice(sessions, count, len(sessions) < count)
        return rows

    def moment(self, day: int) -> int:
        """Return the start of a day, in seconds since 1970."""
        return self.origin + int(day) * SECONDS_PER_DAY


@dataclass(frozen=True)
class Example:
    """One training example as event numbers of `Sessions`.

    Attributes:
        history: Events of the history, oldest first.
        targets: Events to predict.
    """

    history: Int64[np.ndarray, " history"]
    targets: Int64[np.ndarray, " targets"]


def example(
    sessions: Sessions,
    row: Int64[np.ndarray, " 3"],
    config: NextActionsConfig,
    random: np.random.Generator,
) -> Example:
    """Return the history and the targets of one row of a plan."""
    session = row[SESSION]
    first, end = sessions.first[session : session + 2]
    history = np.arange(sessions.start[session], first)
    targets = np.arange(first, end)
    if row[COMPLETION]:
        if random.random() < config.new_users:
            history = history[:0]
        count = int(random.integers(0, min(config.shown, len(targets) - 1) + 1))
        targets = random.permutation(targets)
        history, targets = np.concatenate([history, targets[:count]]), targets[count:]
    return Example(history, targets)


def target_weights(
    sessions: Sessions,
    examples: Sequence[Example],
    slot: Int[np.ndarray, " items"],
    width: int,
    *,
    new_items: bool,
) -> tuple[Float32[np.ndarray, "batch width"], Bool[np.ndarray, "batch width"]]:
    """Return the share of each candidate in an example's targets, and the candidates it allows.

    Args:
        sessions: The sessions that the examples refer to.
        examples: The examples of a batch.
        slot: The position of each item among the candidates; `width` for items that are none.
        width: Number of candidates.
        new_items: Candidates of the history are neither targets nor negatives.

    Returns:
        Weights that sum to 1 for each example, or to 0 if no candidate is a target; and a mask.
    """
    weights = np.zeros((len(examples), width + 1), np.float32)
    allowed = np.ones((len(examples), width + 1), bool)
    for row, one in enumerate(examples):
        np.maximum.at(weights[row], slot[sessions.item[one.targets]], sessions.grade[one.targets])
        if new_items:
            allowed[row, slot[sessions.item[one.history]]] = False
    weights, allowed = weights[:, :width] * allowed[:, :width], allowed[:, :width]
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9), allowed
