"""The inputs of the user tower's training steps, made from a plan of next sessions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from behaviour.interactions import SECONDS_PER_DAY
from towers.history.moment import MomentFeatures
from train.people.next_actions import (
    DAY,
    SESSION,
    Example,
    NextActionsConfig,
    Sessions,
    example,
    target_weights,
)


@dataclass(frozen=True)
class BatchConfig:
    """What a training step of the user tower reads and hides."""

    candidates: int = 4096  # number of items that compete in a training step
    max_events: int = 128  # newest events of a history that training reads
    residual_dropout: float = 0.1  # share of items without residual in a training step
    cold_items: float = 0.1  # share of items that count as never sold in a training step
    context_dropout: float = 0.3  # share of examples without context in a training step


class ActionBatch(NamedTuple):
    """The inputs of one training step; candidates have the numbers 0 to `width` - 1.

    The last candidate may stand for no item: its `log_share` is then infinite.
    """

    rows: Int32[np.ndarray, " width"]  # row of each candidate
    text: Float32[np.ndarray, "width text"]
    features: Float32[np.ndarray, "moments width features"]
    kept: Float32[np.ndarray, " width"]  # 0 for candidates without their residual
    log_share: Float32[np.ndarray, " width"]  # log of the share of steps with the candidate
    events: Int32[np.ndarray, "batch events"]  # candidate of each event of a history
    types: Int32[np.ndarray, "batch events"]
    gap_days: Float32[np.ndarray, "batch events"]
    context: Int32[np.ndarray, "batch values"]  # rows of the table of context values
    weights: Float32[np.ndarray, "batch width"]  # share of each candidate in the targets
    allowed: Bool[np.ndarray, "batch width"]  # False for candidates that are no negatives


@dataclass(frozen=True)
class ActionLoader:
    """Makes the inputs of training steps from a plan of `Sessions`."""

    sessions: Sessions
    text: Float32[np.ndarray, "items text"]
    moments: MomentFeatures
    context: Int32[np.ndarray, "users values"]  # rows of the table of context values, or 0
    actions: NextActionsConfig
    config: BatchConfig
    seed: int

    @property
    def width(self) -> int:
        """Number of candidates of a step: a multiple of 64, so that devices can share them."""
        return -(-min(self.config.candidates, len(self.text)) // 64) * 64

    def load(
        self, log_share: Float32[np.ndarray, " items"]
    ) -> Callable[[Int64[np.ndarray, "batch 3"]], ActionBatch]:
        """Return a function that makes the inputs of a step from its row of a plan."""

        def load(rows: Int64[np.ndarray, "batch 3"]) -> ActionBatch:
            # The draws depend on the seed and the examples alone, so a resumed run repeats them.
            random = np.random.default_rng([self.seed, *rows.ravel()])
            examples = self._examples(rows, random)
            return self._batch(rows, examples, log_share, random)

        return load

    def log_shares(
        self, plan: Sequence[Int64[np.ndarray, "batch 3"]], sample: int = 50
    ) -> Float32[np.ndarray, " items"]:
        """Estimate the logarithm of the share of steps in which each item is a candidate.

        The softmax over sampled candidates subtracts it from the logits, as Yi et al. (2019,
        "Sampling-bias-corrected neural modeling for large corpus item recommendations") do.
        """
        items = len(self.text)
        if items <= self.width:
            return np.zeros(items, np.float32)
        random = np.random.default_rng(self.seed)
        counts = np.zeros(items)
        batches = plan[:: max(1, len(plan) // sample)]
        for rows in batches:
            counts[self._candidates(self._examples(rows, random), random)] += 1
        # The last count stands for the random candidates of the steps that are not sampled.
        return np.log((counts + 1) / (len(batches) + 1)).astype(np.float32)

    def _examples(
        self, rows: Int64[np.ndarray, "batch 3"], random: np.random.Generator
    ) -> list[Example]:
        return [example(self.sessions, row, self.actions, random) for row in rows]

    def _candidates(
        self, examples: Sequence[Example], random: np.random.Generator
    ) -> Int64[np.ndarray, " candidates"]:
        """Return the rows of a step's candidates: targets, then histories, then random items."""
        items, most = len(self.text), self.config.max_events
        if items <= self.width:
            return np.arange(items)
        needed = [self.sessions.item[one.targets] for one in examples]
        needed += [self.sessions.item[one.history[-most:]] for one in examples]
        drawn = np.concatenate([*needed, random.permutation(items)])
        _, first = np.unique(drawn, return_index=True)
        return np.sort(drawn[np.sort(first)[: self.width]])

    def _batch(
        self,
        rows: Int64[np.ndarray, "batch 3"],
        examples: Sequence[Example],
        log_share: Float32[np.ndarray, " items"],
        random: np.random.Generator,
    ) -> ActionBatch:
        config, sessions, width = self.config, self.sessions, self.width
        chosen = self._candidates(examples, random)
        slot = np.full(len(self.text), width)
        slot[chosen] = np.arange(len(chosen))
        padding = np.zeros(width - len(chosen), np.int64)
        candidates = np.concatenate([chosen, padding])
        weights, allowed = target_weights(
            sessions, examples, slot, width, new_items=self.actions.new_items
        )
        allowed[:, len(chosen) :] = False
        cold = random.random(len(self.text)) < config.cold_items
        kept = ~cold & (random.random(len(cold)) >= config.residual_dropout)
        known = random.random(len(rows)) >= config.context_dropout
        days = rows[:: self.actions.examples, DAY]
        features = [
            self.moments.features(sessions.moment(int(day)), candidates, cold) for day in days
        ]
        events = np.zeros((len(rows), config.max_events), np.int32)
        types = np.zeros(events.shape, np.int32)
        gaps = np.full(events.shape, -1, np.float32)
        for row, one in enumerate(examples):
            recent = one.history[-config.max_events :]
            place = slot[sessions.item[recent]]
            now = sessions.moment(int(rows[row, DAY]))
            ages = np.maximum(now - sessions.time[recent], 0) / SECONDS_PER_DAY
            events[row, : len(recent)] = np.minimum(place, width - 1)
            types[row, : len(recent)] = sessions.type[recent]
            gaps[row, : len(recent)] = np.where(place < width, ages, -1)
        return ActionBatch(
            candidates.astype(np.int32),
            self.text[candidates],
            np.stack(features, axis=1),
            kept[candidates].astype(np.float32),
            log_share[candidates],
            events,
            types,
            gaps,
            np.where(known[:, None], self.context[sessions.user[rows[:, SESSION]]], 0),
            weights,
            allowed,
        )
