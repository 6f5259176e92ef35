"""The rules of one request, resolved to rows and values of one catalogue.

See `search.rules` for the order in which rules are applied.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.value_codes import ValueCodes
from search.channels.base import Allowed
from search.pipeline.rule_effects.caps import apply_caps
from search.pipeline.rule_effects.stock import OUT_OF_STOCK
from search.result import Hit
from search.rules import Adjustment, Effect, PinProblem, RuleReport, Rules


@dataclass(frozen=True)
class ActiveRules:
    """Rules, resolved to rows, masks and value codes of a catalogue.

    Attributes:
        rules: The rules of the request.
        allowed: Mask of the items that remain after filter and exclusions; None for all rows (only
            if no row is deleted).
        pins: Rows of the pinned items, in the order of their positions.
        pin_names: The name of each pin, such as "pins[2]".
        positions: The position of each pin, from 1; rising.
        reports: The reports of exclusions and pins.
        caps: For each cap, the value codes of the capped field and the maximum number of results
            per value. The cap of `max_per_group` comes last.
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
            passed: Mask of the items that pass the filter of the request; None without a filter.
            max_per_group: Maximum number of results with the same group_id; 0: no limit.
        """
        allowed, reports = without_excluded(rules, catalogue, passed)
        pins = []
        for index, pin in enumerate(rules.pins):
            name, row = f"pins[{index}]", catalogue.row(pin.item_id)
            problem = _pin_problem(row, passed, allowed)
            reports.append(RuleReport(name, int(problem is None), problem))
            if problem is None:
                pins.append((pin.position, row, name))
        pins.sort()
        caps = [
            (catalogue.codes(cap.field, cap.category_level), cap.max_results) for cap in rules.caps
        ]
        if max_per_group and (groups := catalogue.codes("group_id")).size:
            caps.append((groups, max_per_group))
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
        """Return whether candidates, in every order, fill the list up to position `end` + 1.

        Reranking changes the order later. With several caps, the number of items that remain
        depends on the order. With n caps, every order keeps at least 1/n of the items that the best
        order keeps, because the caps are an intersection of n partition matroids. So n times the
        needed number of items must remain in the given order.
        """
        others = rows[~np.isin(rows, self.pins)]
        needed = self.unpinned(end + 1) * max(len(self.caps), 1)
        return len(apply_caps(others, self.caps, self.pins, needed).positions) >= needed

    def unpinned(self, count: int) -> int:
        """Return how many of the first `count` positions have no pin."""
        return count - sum(position <= count for position in self.positions)

    def with_pins(
        self, others: Int64[np.ndarray, " others"], count: int
    ) -> Int64[np.ndarray, " ranks"]:
        """Return the first `count` ranks after inserting the pinned items at their positions.

        Ranks below `len(self.pins)` are pinned items; `others` are the ranks of the other items. If
        the list is too short for a pin's position, the pinned item follows the last item.
        """
        merged = others.tolist()
        for pin, position in enumerate(self.positions):
            merged.insert(position - 1, pin)
        return np.array(merged[:count], np.int64)

    @cached_property
    def boosted(self) -> tuple[Bool[np.ndarray, " rows"], ...]:
        """One mask per boost: the items that pass the filter of the boost."""
        return tuple(self._catalogue.matching(boost.filter) for boost in self.rules.boosts)


@dataclass(frozen=True)
class RuleEffects:
    """The effects of rules on a ranking.

    Attributes:
        active: The rules.
        rows: The rows of the ranking.
        scores: The score of each rank, including boosts.
        base_scores: The score of each rank without boosts.
        boosted_ranks: Number of ranks that boosts apply to: pinned and recalled items.
        before: The ranks of items that are not pinned, in the order before diversity.
        after: The ranks of items that are not pinned, in the order after diversity.
        out_of_stock: Number of items that the rule of stock put behind the others.
        dropped: Number of items that each cap removed.
    """

    active: ActiveRules
    rows: Int32[np.ndarray, " ranks"]
    scores: Float64[np.ndarray, " ranks"]
    base_scores: Float64[np.ndarray, " ranks"]
    boosted_ranks: int
    before: Int64[np.ndarray, " others"]
    after: Int64[np.ndarray, " others"]
    out_of_stock: int
    dropped: tuple[int, ...]

    def explained(self, hits: Sequence[Hit], ranks: Sequence[int], offset: int) -> tuple[Hit, ...]:
        """Return the hits of a page with the effects of rules on each hit.

        Args:
            hits: The hits.
            ranks: The rank of each hit before rules.
            offset: Number of results before the page.
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
        """The effect of each rule, in the order of `search.rules`."""
        active, rows = self.active, self.rows[: self.boosted_ranks]
        excluded = [r for r in active.reports if r.rule.startswith("excluded")]
        boosts = [
            RuleReport(f"boosts[{index}]", int(np.count_nonzero(is_boosted[rows])))
            for index, is_boosted in enumerate(active.boosted)
        ]
        diversity = [RuleReport("diversity", len(self._moves))] if active.rules.diversity else []
        stock = [RuleReport(OUT_OF_STOCK, self.out_of_stock)] if self.out_of_stock else []
        names = [f"caps[{index}]" for index in range(len(active.rules.caps))]
        if len(active.caps) > len(names):
            names.append("max_per_group")
        caps = [RuleReport(name, count) for name, count in zip(names, self.dropped, strict=True)]
        pins = [r for r in active.reports if r.rule.startswith("pins")]
        return (*excluded, *boosts, *diversity, *stock, *caps, *pins)

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
        """The positions before and after diversity, by rank, of the items that diversity moved."""
        moved = np.flatnonzero(self.before != self.after).tolist()
        to_position = {int(self.after[index]): index + 1 for index in moved}
        return {
            rank: (index + 1, to_position[rank])
            for index in moved
            for rank in (int(self.before[index]),)
        }


def without_excluded(
    rules: Rules, catalogue: Catalogue, passed: Allowed
) -> tuple[Allowed, list[RuleReport]]:
    """Return a mask of the items that remain after exclusions, and a report per exclusion."""
    if not rules.excluded_item_ids and rules.excluded is None:
        return (catalogue.alive if passed is None else passed), []
    before = catalogue.all_alive if passed is None else passed
    reports, is_excluded = [], np.zeros(len(before), np.bool_)
    if rules.excluded_item_ids:
        rows = catalogue.rows(rules.excluded_item_ids)
        is_excluded[rows[rows >= 0]] = True
        count = int(np.count_nonzero(is_excluded & before))
        reports.append(RuleReport("excluded_item_ids", count))
    if rules.excluded is not None:
        matching = catalogue.matching(rules.excluded)
        reports.append(RuleReport("excluded", int(np.count_nonzero(matching & before))))
        is_excluded |= matching
    return before & ~is_excluded, reports


def _pin_problem(row: int, passed: Allowed, allowed: Allowed) -> PinProblem | None:
    """Return why an item cannot be pinned; None if the item can be pinned."""
    if row < 0:
        return PinProblem.UNKNOWN_ITEM
    if passed is not None and not passed[row]:
        return PinProblem.FILTERED_OUT
    if allowed is not None and not allowed[row]:
        return PinProblem.EXCLUDED
    return None
