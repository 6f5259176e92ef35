"""The rules of one search, resolved to rows and values of one catalogue.

See `search.rules` for the order in which rules are applied.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.value_codes import ValueCodes
from search.channels.base import Allowed
from search.pipeline.rule_effects.caps import apply_caps
from search.pipeline.rule_effects.stock import OUT_OF_STOCK
from search.result import Hit
from search.rules import (
    Adjustment,
    Boost,
    Effect,
    NamedRules,
    PinProblem,
    Promotion,
    RuleName,
    RuleReport,
    Rules,
)

Rule = TypeVar("Rule")


@dataclass(frozen=True)
class ActiveRules:
    """Rules, resolved to rows, masks and value codes of a catalogue.

    Attributes:
        boosts: The boosts.
        diversity: The diversity; 0: none.
        diversity_name: The name of the diversity.
        allowed: Mask of the items that remain after filter and exclusions; None for all rows (only
            if no row is deleted).
        pins: Rows of the pinned items, in the order of their positions.
        pin_names: The name of each pin.
        positions: The position of each pin, from 1; rising.
        reports: The reports of exclusions and pins.
        caps: For each cap, the value codes of the capped field and the maximum number of results
            per value. The cap of `max_per_group` comes last.
        cap_names: The name of each cap.
        promotions: The promotions, each id once: that of the request before that of the curation.
        promoted_share: The largest share of positions that promotions have; 0: the default.
    """

    boosts: Sequence[tuple[RuleName, Boost]]
    diversity: float
    diversity_name: RuleName
    allowed: Allowed
    pins: Int32[np.ndarray, " pins"]
    pin_names: tuple[RuleName, ...]
    positions: tuple[int, ...]
    reports: tuple[RuleReport, ...]
    caps: tuple[tuple[ValueCodes, int], ...]
    cap_names: tuple[RuleName, ...]
    promotions: tuple[tuple[RuleName, Promotion], ...]
    promoted_share: float
    _catalogue: Catalogue

    @classmethod
    def of(
        cls,
        sources: Sequence[NamedRules],
        catalogue: Catalogue,
        passed: Allowed,
        max_per_group: int,
    ) -> "ActiveRules":
        """Resolve rules.

        Args:
            sources: Valid rules of the request, and then those of a curation.
            catalogue: The items.
            passed: Mask of the items that pass the filter of the request; None without a filter.
            max_per_group: Maximum number of results with the same group_id; 0: no limit.
        """
        allowed, reports = without_excluded(sources, catalogue, passed)
        pins: list[tuple[int, int, RuleName]] = []
        taken = set[int | str]()  # positions and items of the pins so far
        for name, pin in _named("pins", sources, lambda rules: rules.pins):
            row = catalogue.row(pin.item_id)
            problem = _pin_problem(row, passed, allowed)
            if problem is None and taken & {pin.position, pin.item_id}:
                problem = PinProblem.REPLACED
            reports.append(_report(name, int(problem is None), problem))
            if problem is None:
                taken |= {pin.position, pin.item_id}
                pins.append((pin.position, row, name))
        pins.sort(key=lambda pin: pin[0])
        named_caps = _named("caps", sources, lambda rules: rules.caps)
        cap_names = [name for name, _ in named_caps]
        caps = [
            (catalogue.codes(cap.field, cap.category_level), cap.max_results)
            for _, cap in named_caps
        ]
        if max_per_group and (groups := catalogue.codes("group_id")).size:
            caps.append((groups, max_per_group))
            cap_names.append(RuleName("max_per_group"))
        promotions: dict[str, tuple[RuleName, Promotion]] = {}
        for name, promotion in _named("promotions", sources, lambda rules: rules.promotions):
            promotions.setdefault(promotion.promotion_id, (name, promotion))
        diverse = next((s for s in sources if s.rules.diversity), sources[0])
        return cls(
            _named("boosts", sources, lambda rules: rules.boosts),
            diverse.rules.diversity,
            RuleName("diversity", diverse.curation_id),
            allowed,
            np.array([row for _, row, _ in pins], np.int32),
            tuple(name for _, _, name in pins),
            tuple(position for position, _, _ in pins),
            tuple(reports),
            tuple(caps),
            tuple(cap_names),
            tuple(promotions.values()),
            next((s.rules.promoted_share for s in sources if s.rules.promoted_share), 0.0),
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
        return tuple(self._catalogue.matching(boost.filter) for _, boost in self.boosts)


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
            _report(name, int(np.count_nonzero(is_boosted[rows])))
            for (name, _), is_boosted in zip(active.boosts, active.boosted, strict=True)
        ]
        diversity = [_report(active.diversity_name, len(self._moves))] if active.diversity else []
        stock = [RuleReport(OUT_OF_STOCK, self.out_of_stock)] if self.out_of_stock else []
        caps = list(map(_report, active.cap_names, self.dropped))
        pins = [r for r in active.reports if r.rule.startswith("pins")]
        return (*excluded, *boosts, *diversity, *stock, *caps, *pins)

    def _adjustments(self, rank: int, position: int) -> tuple[Adjustment, ...]:
        active = self.active
        adjustments = [
            Adjustment(name.rule, Effect.BOOSTED, boost.strength, curation_id=name.curation_id)
            for (name, boost), is_boosted in zip(active.boosts, active.boosted, strict=True)
            if rank < self.boosted_ranks and is_boosted[self.rows[rank]]
        ]
        if rank < len(active.pins):
            name = active.pin_names[rank]
            adjustments.append(
                Adjustment(
                    name.rule, Effect.PINNED, to_position=position, curation_id=name.curation_id
                )
            )
        elif rank in self._moves:
            before, after = self._moves[rank]
            name = active.diversity_name
            adjustments.append(
                Adjustment(name.rule, Effect.DIVERSIFIED, 0.0, before, after, name.curation_id)
            )
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
    sources: Sequence[NamedRules], catalogue: Catalogue, passed: Allowed
) -> tuple[Allowed, list[RuleReport]]:
    """Return a mask of the items that remain after exclusions, and a report per exclusion."""
    if not any(s.rules.excluded_item_ids or s.rules.excluded for s in sources):
        return (catalogue.alive if passed is None else passed), []
    before = catalogue.all_alive if passed is None else passed
    reports, is_excluded = [], np.zeros(len(before), np.bool_)
    for source in sources:
        rules = source.rules
        if rules.excluded_item_ids:
            rows = catalogue.rows(rules.excluded_item_ids)
            named = np.zeros(len(before), np.bool_)
            named[rows[rows >= 0]] = True
            name = RuleName("excluded_item_ids", source.curation_id)
            reports.append(_report(name, int(np.count_nonzero(named & before))))
            is_excluded |= named
        if rules.excluded is not None:
            matching = catalogue.matching(rules.excluded)
            name = RuleName("excluded", source.curation_id)
            reports.append(_report(name, int(np.count_nonzero(matching & before))))
            is_excluded |= matching
    return before & ~is_excluded, reports


def _named(
    kind: str, sources: Sequence[NamedRules], rules_of: Callable[[Rules], Sequence[Rule]]
) -> list[tuple[RuleName, Rule]]:
    """Return the rules of a kind, each with its name."""
    return [
        (RuleName(f"{kind}[{index}]", source.curation_id), rule)
        for source in sources
        for index, rule in enumerate(rules_of(source.rules))
    ]


def _report(name: RuleName, count: int, problem: PinProblem | None = None) -> RuleReport:
    return RuleReport(name.rule, count, problem, name.curation_id)


def _pin_problem(row: int, passed: Allowed, allowed: Allowed) -> PinProblem | None:
    """Return why an item cannot be pinned; None if the item can be pinned."""
    if row < 0:
        return PinProblem.UNKNOWN_ITEM
    if passed is not None and not passed[row]:
        return PinProblem.FILTERED_OUT
    if allowed is not None and not allowed[row]:
        return PinProblem.EXCLUDED
    return None
