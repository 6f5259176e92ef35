"""The rules of one request, in force on one state of the catalogue; see `rules` for their order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.value_codes import ValueCodes
from search.channels.base import Allowed
from search.channels.fusion import Candidates
from search.pipeline.caps import keep
from search.pipeline.diversity import mmr_order
from search.result import Hit
from search.rules import Adjustment, Effect, RuleReport, Rules, Skipped
from search.runtime.deadline import Clock
from search.signals import rerank_order, scores_behind

DIVERSE_DEPTH = 50  # head of the list that diversity re-orders where nothing was reranked

_Rows: TypeAlias = Int32[np.ndarray, "_"]


@dataclass(frozen=True)
class Ruling:
    """Rules that `checks` has let through, and what they come to.

    Attributes:
        rules: The rules.
        allowed: Which items are left to be found; None for all, which are alive.
        pins: Rows of the items that are pinned, in the order of their positions.
        positions: Where they are pinned, from 1; rising.
        reports: Of exclusions and pins.
        caps: What each cap looks at, and how many of one value it leaves; a cap of groups last.
    """

    rules: Rules
    allowed: Allowed
    pins: _Rows
    positions: tuple[int, ...]
    reports: tuple[RuleReport, ...]
    caps: tuple[tuple[ValueCodes, int], ...]
    _names: tuple[str, ...]  # of the pins, such as "pins[2]"
    _catalogue: Catalogue
    _vectors: Callable[[_Rows], Float32[np.ndarray, "_ dim"]]

    @classmethod
    def of(
        cls,
        rules: Rules,
        catalogue: Catalogue,
        vectors: Callable[[_Rows], Float32[np.ndarray, "_ dim"]],
        passed: Allowed,
        max_per_group: int,
        clock: Clock,
    ) -> "Ruling":
        """Bring rules into force.

        Args:
            rules: The rules.
            catalogue: The items.
            vectors: Of rows.
            passed: Which items pass the filter of the request.
            max_per_group: Most results with the same group_id; 0 for any number.
            clock: Of the request.
        """
        with clock.stage("rules", len(catalogue)):
            allowed, reports = _without_excluded(rules, catalogue, passed)
            pins = []
            for place, pin in enumerate(rules.pins):
                name, row = f"pins[{place}]", catalogue.row(pin.item_id)
                skipped = _skipped(row, passed, allowed)
                reports.append(RuleReport(name, int(skipped is None), skipped))
                if skipped is None:
                    pins.append((pin.position, row, name))
            pins.sort()
            caps = [(catalogue.codes(cap.field, cap.level), cap.most) for cap in rules.caps]
            if max_per_group:
                caps.append((catalogue.codes("group_id"), max_per_group))
        return cls(
            rules,
            allowed,
            np.array([row for _, row, _ in pins], np.int32),
            tuple(position for position, _, _ in pins),
            tuple(reports),
            tuple(caps),
            tuple(name for _, _, name in pins),
            catalogue,
            vectors,
        )

    def enough(self, rows: _Rows, end: int) -> bool:
        """Whether candidates will do for a page up to `end` and one more, however they are ordered.

        Of several caps, which items stay depends on the order: at least one in as many as there are
        caps of what stays in any other order (they are an intersection of partition matroids, of
        which every maximal set is so large).
        """
        others = rows[~np.isin(rows, self.pins)]
        wanted = self._unpinned(end + 1) * max(len(self.caps), 1)
        return len(keep(others, self.caps, self.pins, wanted).places) >= wanted

    def joined(
        self,
        found: Candidates,
        scores: Float32[np.ndarray, " pins"],
        cosines: Float32[np.ndarray, " pins"],
        recall_depth: int,
        rerank_depth: int,
    ) -> "Joined":
        """Put the pinned items, recalled or not, before all other candidates.

        Args:
            found: What was recalled, and perhaps more behind it.
            scores: Stage 1's scores of the pinned items.
            cosines: Cosines of the pinned items.
            recall_depth: How many of `found` were recalled.
            rerank_depth: How many of them are to be reranked; what is pinned then is, too.
        """
        others = ~np.isin(found.rows, self.pins)
        places = {row: at for at, row in enumerate(found.rows[:recall_depth].tolist())}
        at = np.array([places.get(row, -1) for row in self.pins.tolist()], np.int64)
        ranks: dict[str, Int32[np.ndarray, " found"]] = {}
        for channel, of in found.ranks.items():
            # Recalled by no channel where it was not recalled: -1 reads the 0 put at the end.
            ranks[channel] = np.concatenate([np.append(of, np.int32(0))[at], of[others]])
        together = Candidates(
            np.concatenate([self.pins, found.rows[others]]),
            np.concatenate([scores, found.scores[others]]),
            np.concatenate([cosines, found.cosines[others]]),
            ranks,
            found.plan,
        )
        head = int(np.count_nonzero(others[:rerank_depth]))
        reranked = len(self.pins) + head if rerank_depth else 0
        return Joined(self, together, int(np.count_nonzero(others[:recall_depth])), reranked)

    def arrange(
        self,
        rows: _Rows,
        scores: Float32[np.ndarray, "_"] | Float64[np.ndarray, "_"],
        recalled: int,
        head: int,
        end: int,
    ) -> "Arranged":
        """Boosts, diversity, caps and pins.

        Args:
            rows: The pinned items and behind them the others, ranked.
            scores: Their scores without rules; those of the others fall.
            recalled: How many of the others were recalled. What comes behind them is there for deep
                pages alone, and stays there.
            head: How many of the others diversity re-orders; 0 for `DIVERSE_DEPTH`.
            end: How many results are wanted, beside one more that tells whether there are more.
        """
        pinned = len(self.pins)
        base = scores.astype(np.float64)
        total = base.copy()
        last = min(pinned + recalled, len(rows))
        for (_, passed), boost in zip(self._boosts, self.rules.boosts, strict=True):
            total[:last] += np.where(passed[rows[:last]], boost.strength, 0.0)
        order = np.arange(pinned, len(rows))
        if self.rules.boosts:
            order[: last - pinned] = pinned + np.argsort(-total[pinned:last], kind="stable")
            sorted_scores = total[order[: last - pinned]].astype(np.float32)
            behind = scores_behind(sorted_scores, base[last:].astype(np.float32))
            base[last:] = total[last:] = behind
        before = order
        if self.rules.diversity:
            first = order[: min(head or DIVERSE_DEPTH, last - pinned)]
            vectors = self._vectors(rows[first])
            chosen = first[mmr_order(total[first], vectors, self.rules.diversity)]
            order = np.concatenate([chosen, order[len(first) :]])
        kept = keep(rows[order], self.caps, self.pins, self._unpinned(end + 1))
        places = self._pinned(order[kept.places], end + 1)
        return Arranged(
            self, rows, np.arange(len(rows)), places, total, base, last, before, order, kept.dropped
        )

    def _unpinned(self, places: int) -> int:
        """How many of the first places no pin takes."""
        return places - sum(position <= places for position in self.positions)

    def _pinned(
        self, others: Int64[np.ndarray, " others"], wanted: int
    ) -> Int64[np.ndarray, " places"]:
        """The others with the pinned items, 0 to `len(self.pins)`, at their positions.

        Where the others do not reach to a position, what is pinned there closes up.
        """
        merged = others.tolist()
        for pin, position in enumerate(self.positions):
            merged.insert(position - 1, pin)
        return np.array(merged[:wanted], np.int64)

    @cached_property
    def _boosts(self) -> tuple[tuple[str, Bool[np.ndarray, " rows"]], ...]:
        return tuple(
            (f"boosts[{place}]", self._catalogue.matching(boost.filter))
            for place, boost in enumerate(self.rules.boosts)
        )


@dataclass(frozen=True)
class Joined:
    """Candidates with what is pinned.

    Attributes:
        candidates: The pinned items, and behind them the others as they were found.
        recalled: How many of the others were recalled, not only added for deep pages.
        reranked: How many of the candidates are to be reranked: the pinned ones, and the head of
            the others.
    """

    _ruling: Ruling
    candidates: Candidates
    recalled: int
    reranked: int

    def arranged(
        self, scores: Float32[np.ndarray, " scored"], end: int, clock: Clock
    ) -> "Arranged":
        """The list that rules make of candidates; see `Ruling.arrange`.

        Args:
            scores: Of the first candidates: those that were reranked, or for which there was time.
            end: How many results are wanted.
            clock: Of the request.
        """
        pinned, stage1 = len(self._ruling.pins), self.candidates.scores
        scored = len(scores)
        behind = max(scored, pinned)
        with clock.stage("rules", len(stage1)):
            order, others = rerank_order(scores[pinned:], stage1[behind:])
            own = np.concatenate([scores[:pinned], stage1[scored:pinned]])
            places = (np.arange(pinned), pinned + order, np.arange(behind, len(stage1)))
            ranked = np.concatenate(places)
            arranged = self._ruling.arrange(
                self.candidates.rows[ranked],
                np.concatenate([own, others]),
                self.recalled,
                max(scored - pinned, 0),
                end,
            )
        return replace(arranged, ranked=ranked)


@dataclass(frozen=True)
class Arranged:
    """A list under rules.

    Attributes:
        ranked: By place in the list without rules, the candidate.
        places: Which places of the list without rules are shown, best first: as many as were
            wanted, and one more.
        scores: By place in the list without rules, with what boosts add.
    """

    _ruling: Ruling
    _rows: _Rows
    ranked: Int64[np.ndarray, " candidates"]
    places: Int64[np.ndarray, " places"]
    scores: Float64[np.ndarray, " candidates"]
    _base: Float64[np.ndarray, " candidates"]
    _recalled: int  # candidates that boosts reach
    _before: Int64[np.ndarray, " others"]  # the order before diversity
    _after: Int64[np.ndarray, " others"]  # and the one behind it
    _dropped: tuple[int, ...]

    def explained(self, hits: Sequence[Hit], offset: int) -> tuple[Hit, ...]:
        """The hits of the page that begins at an offset, with what rules did to each."""
        places = self.places[offset : offset + len(hits)].tolist()
        return tuple(
            replace(hit, base_score=float(self._base[at]), adjustments=self._of(at, position))
            for position, (hit, at) in enumerate(zip(hits, places, strict=True), start=offset + 1)
        )

    @property
    def reports(self) -> tuple[RuleReport, ...]:
        """What each rule did, in the order in which they work."""
        ruling, rows = self._ruling, self._rows[: self._recalled]
        excluded = [r for r in ruling.reports if r.rule.startswith("excluded")]
        boosts = [
            RuleReport(name, int(np.count_nonzero(passed[rows]))) for name, passed in ruling._boosts
        ]
        diversity = [RuleReport("diversity", len(self._moved))] if ruling.rules.diversity else []
        names = [f"caps[{place}]" for place in range(len(ruling.rules.caps))]
        if len(ruling.caps) > len(names):
            names.append("max_per_group")
        caps = [
            RuleReport(name, dropped) for name, dropped in zip(names, self._dropped, strict=True)
        ]
        pins = [r for r in ruling.reports if r.rule.startswith("pins")]
        return (*excluded, *boosts, *diversity, *caps, *pins)

    def _of(self, at: int, position: int) -> tuple[Adjustment, ...]:
        ruling = self._ruling
        made = [
            Adjustment(name, Effect.BOOSTED, boost.strength)
            for (name, passed), boost in zip(ruling._boosts, ruling.rules.boosts, strict=True)
            if at < self._recalled and passed[self._rows[at]]
        ]
        if at < len(ruling.pins):
            made.append(Adjustment(ruling._names[at], Effect.PINNED, to_position=position))
        elif at in self._moved:
            before, after = self._moved[at]
            made.append(Adjustment("diversity", Effect.DIVERSIFIED, 0.0, before, after))
        return tuple(made)

    @cached_property
    def _moved(self) -> dict[int, tuple[int, int]]:
        """The positions from which, and to which, diversity moved candidates."""
        moved = np.flatnonzero(self._before != self._after).tolist()
        after = {int(self._after[place]): place + 1 for place in moved}
        return {at: (place + 1, after[at]) for place in moved for at in (int(self._before[place]),)}


def _without_excluded(
    rules: Rules, catalogue: Catalogue, passed: Allowed
) -> tuple[Allowed, list[RuleReport]]:
    """Which items are left of those that pass a filter, and how many each exclusion took out."""
    if not rules.excluded_ids and rules.excluded is None:
        return (catalogue.alive if passed is None else passed), []
    before = catalogue.all_alive if passed is None else passed
    reports, out = [], np.zeros(len(before), np.bool_)
    if rules.excluded_ids:
        rows = catalogue.rows(rules.excluded_ids)
        out[rows[rows >= 0]] = True
        reports.append(RuleReport("excluded_item_ids", int(np.count_nonzero(out & before))))
    if rules.excluded is not None:
        more = catalogue.matching(rules.excluded)
        reports.append(RuleReport("excluded", int(np.count_nonzero(more & before))))
        out |= more
    return before & ~out, reports


def _skipped(row: int, passed: Allowed, allowed: Allowed) -> Skipped | None:
    """Why an item cannot be pinned; None where it can."""
    if row < 0:
        return Skipped.UNKNOWN_ITEM
    if passed is not None and not passed[row]:
        return Skipped.FILTERED_OUT
    if allowed is not None and not allowed[row]:
        return Skipped.EXCLUDED
    return None
