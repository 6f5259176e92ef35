"""The rules of one request, resolved against one state of the catalogue.

`search.rules` says in which order rules work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.value_codes import ValueCodes
from search.channels.base import Allowed
from search.pipeline.caps import apply_caps
from search.result import Hit
from search.rules import Adjustment, Effect, PinProblem, RuleReport, Rules


@dataclass(frozen=True)
class ActiveRules:
    """Rules with the rows, masks and codes that they mean in a catalogue.

    Attributes:
        rules: The rules.
        allowed: Which items may be found after exclusions; None for all rows, which are alive.
        pins: Rows of the pinned items, in the order of their positions.
        pin_names: Their rules, such as "pins[2]".
        positions: Where they are pinned, from 1; rising.
        reports: The reports of exclusions and pins.
        caps: What each cap looks at, and how many results of one value it allows; a cap of groups
            comes last.
    """

    rules: Rules
    allowed: Allowed
    pins: Int32[np.ndarray, " pins"]
    pin_names: tuple[str, ...]
    positions: tuple[int, ...]
    reports: tuple[RuleReport, ...]
    caps: tuple[tuple[ValueCodes, int], ...]
    _catalogue: Catalogue

    @classmethod
    def of(
        cls, rules: Rules, catalogue: Catalogue, passed: Allowed, max_per_group: int
    ) -> "ActiveRules":
        """Resolve rules.

        Args:
            rules: Valid rules.
            catalogue: The items.
            passed: Which items pass the filter of the request.
            max_per_group: Most results with the same group_id; 0: any number.
        """
        allowed, reports = _without_excluded(rules, catalogue, passed)
        pins = []
        for index, pin in enumerate(rules.pins):
            name, row = f"pins[{index}]", catalogue.row(pin.item_id)
            problem = _pin_problem(row, passed, allowed)
            reports.append(RuleReport(name, int(problem is None), problem))
            if problem is None:
                pins.append((pin.position, row, name))
        pins.sort()
        caps = [(catalogue.codes(cap.field, cap.level), cap.most) for cap in rules.caps]
        if max_per_group:
            caps.append((catalogue.codes("group_id"), max_per_group))
        return cls(
            rules,
            allowed,
            np.array([row for _, row, _ in pins], np.int32),
            tuple(name for _, _, name in pins),
            tuple(position for position, _, _ in pins),
            tuple(reports),
            tuple(caps),
            catalogue,
        )

    def suffices(self, rows: Int32[np.ndarray, " candidates"], end: int) -> bool:
        """Return whether candidates fill a page up to `end` and one place more, in any order.

        With several caps, how many items stay depends on the order. In any order at least one in n
        of the most that can stay do, where n is the number of caps: they are an intersection of n
        partition matroids, of which every maximal set is that large.
        """
        others = rows[~np.isin(rows, self.pins)]
        needed = self.unpinned(end + 1) * max(len(self.caps), 1)
        return len(apply_caps(others, self.caps, self.pins, needed).positions) >= needed

    def unpinned(self, count: int) -> int:
        """Return how many of the first `count` positions no pin takes."""
        return count - sum(position <= count for position in self.positions)

    def with_pins(
        self, others: Int64[np.ndarray, " others"], count: int
    ) -> Int64[np.ndarray, " ranks"]:
        """Return the others with the pinned items (0 to `len(self.pins)`) at their positions.

        Where the others do not reach to a position, the item pinned there closes up.
        """
        merged = others.tolist()
        for pin, position in enumerate(self.positions):
            merged.insert(position - 1, pin)
        return np.array(merged[:count], np.int64)

    @cached_property
    def boosted(self) -> tuple[Bool[np.ndarray, " rows"], ...]:
        """By boost, which items it boosts."""
        return tuple(self._catalogue.matching(boost.filter) for boost in self.rules.boosts)


@dataclass(frozen=True)
class RuleEffects:
    """What rules did to a ranking.

    Attributes:
        active: The rules.
        rows: The rows of the ranking.
        scores: By rank, the score with what boosts add.
        base_scores: By rank, the score without boosts.
        boosted_ranks: How many ranks boosts reach: those of pinned and recalled items.
        before: The ranks of the others in the order before diversity.
        after: The ranks of the others in the order after diversity.
        dropped: By cap, how many items it dropped.
    """

    active: ActiveRules
    rows: Int32[np.ndarray, " ranks"]
    scores: Float64[np.ndarray, " ranks"]
    base_scores: Float64[np.ndarray, " ranks"]
    boosted_ranks: int
    before: Int64[np.ndarray, " others"]
    after: Int64[np.ndarray, " others"]
    dropped: tuple[int, ...]

    def explained(self, hits: Sequence[Hit], ranks: Sequence[int], offset: int) -> tuple[Hit, ...]:
        """Return the hits of a page with what rules did to each.

        Args:
            hits: The hits.
            ranks: Their ranks before rules.
            offset: How many results come before the page.
        """
        return tuple(
            replace(
                hit,
                base_score=float(self.base_scores[rank]),
                adjustments=self._adjustments(rank, position),
            )
            for position, (hit, rank) in enumerate(zip(hits, ranks, strict=True), start=offset + 1)
        )

    @property
    def reports(self) -> tuple[RuleReport, ...]:
        """What each rule did, in the order in which they work."""
        active, rows = self.active, self.rows[: self.boosted_ranks]
        excluded = [r for r in active.reports if r.rule.startswith("excluded")]
        boosts = [
            RuleReport(f"boosts[{index}]", int(np.count_nonzero(is_boosted[rows])))
            for index, is_boosted in enumerate(active.boosted)
        ]
        diversity = [RuleReport("diversity", len(self._moves))] if active.rules.diversity else []
        names = [f"caps[{index}]" for index in range(len(active.rules.caps))]
        if len(active.caps) > len(names):
            names.append("max_per_group")
        caps = [RuleReport(name, count) for name, count in zip(names, self.dropped, strict=True)]
        pins = [r for r in active.reports if r.rule.startswith("pins")]
        return (*excluded, *boosts, *diversity, *caps, *pins)

    def _adjustments(self, rank: int, position: int) -> tuple[Adjustment, ...]:
        active = self.active
        adjustments = [
            Adjustment(f"boosts[{index}]", Effect.BOOSTED, active.rules.boosts[index].strength)
            for index, is_boosted in enumerate(active.boosted)
            if rank < self.boosted_ranks and is_boosted[self.rows[rank]]
        ]
        if rank < len(active.pins):
            pin = Adjustment(active.pin_names[rank], Effect.PINNED, to_position=position)
            adjustments.append(pin)
        elif rank in self._moves:
            before, after = self._moves[rank]
            adjustments.append(Adjustment("diversity", Effect.DIVERSIFIED, 0.0, before, after))
        return tuple(adjustments)

    @cached_property
    def _moves(self) -> dict[int, tuple[int, int]]:
        """By rank, the positions from which and to which diversity moved the item."""
        moved = np.flatnonzero(self.before != self.after).tolist()
        to_position = {int(self.after[index]): index + 1 for index in moved}
        return {
            rank: (index + 1, to_position[rank])
            for index in moved
            for rank in (int(self.before[index]),)
        }


def _without_excluded(
    rules: Rules, catalogue: Catalogue, passed: Allowed
) -> tuple[Allowed, list[RuleReport]]:
    """Return which of the items that pass a filter remain, and what each exclusion took out."""
    if not rules.excluded_ids and rules.excluded is None:
        return (catalogue.alive if passed is None else passed), []
    before = catalogue.all_alive if passed is None else passed
    reports, is_excluded = [], np.zeros(len(before), np.bool_)
    if rules.excluded_ids:
        rows = catalogue.rows(rules.excluded_ids)
        is_excluded[rows[rows >= 0]] = True
        count = int(np.count_nonzero(is_excluded & before))
        reports.append(RuleReport("excluded_item_ids", count))
    if rules.excluded is not None:
        matching = catalogue.matching(rules.excluded)
        reports.append(RuleReport("excluded", int(np.count_nonzero(matching & before))))
        is_excluded |= matching
    return before & ~is_excluded, reports


def _pin_problem(row: int, passed: Allowed, allowed: Allowed) -> PinProblem | None:
    """Return why an item cannot be pinned; None where it can."""
    if row < 0:
        return PinProblem.UNKNOWN_ITEM
    if passed is not None and not passed[row]:
        return PinProblem.FILTERED_OUT
    if allowed is not None and not allowed[row]:
        return PinProblem.EXCLUDED
    return None
