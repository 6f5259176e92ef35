"""What a request takes from the catalogue without models: filtering, counting, browsing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.facets import Facet, FacetCounts
from catalog.filters import Filter
from search.browsing import Popularity, first_of_groups
from search.clock import Clock
from search.recall import Allowed
from search.records import Degradation, Hit, SearchResult
from search.ruling import Ruling


class Selection:
    """Filters, facets, groups and popularity of one catalogue."""

    def __init__(self, catalogue: Catalogue, before: "Selection | None" = None) -> None:
        """Take a catalogue, and the selection of the one that it was made from."""
        self._catalogue = catalogue
        sorted_before = None if before is None else before._popularity
        self._popularity: Popularity = Popularity.of(catalogue, sorted_before)

    def warm_up(self) -> None:
        """Sort by popularity, so that the first to browse need not wait for it."""
        self._popularity.warm_up()

    def allowed(self, filter: Filter | None, clock: Clock) -> Allowed:
        """Which items pass a filter that `checks` has let through."""
        if filter is None:
            return None
        with clock.stage("filter", len(self._catalogue)):
            return self._catalogue.matching(filter)

    def without(self, row: int, allowed: Allowed, *, variants: bool) -> Bool[np.ndarray, " items"]:
        """Which items pass, but for one, and with `variants` false those of its group as well."""
        others = (self._catalogue.all_alive if allowed is None else allowed).copy()
        others[row] = False
        if not variants:
            groups = self._catalogue.groups(np.arange(len(others), dtype=np.int32))
            if groups[row] >= 0:
                others &= groups != groups[row]
        return others

    def matches(self, allowed: Allowed) -> int:
        """How many items pass."""
        return len(self._catalogue) if allowed is None else int(np.count_nonzero(allowed))

    def shown(
        self, ranked: Int32[np.ndarray, " ranked"], max_per_group: int, wanted: int
    ) -> Int64[np.ndarray, " places"]:
        """The first places of a ranked list that stay when groups are capped; 0 caps none.

        Fewer than `wanted` come back where fewer stay.
        """
        if not max_per_group:
            return np.arange(min(wanted, len(ranked)))
        return first_of_groups(self._catalogue.groups, ranked, max_per_group, wanted)

    def count(
        self,
        facets: Sequence[Facet],
        allowed: Allowed,
        recalled: Int32[np.ndarray, " recalled"],
        clock: Clock,
    ) -> tuple[FacetCounts, ...]:
        """What facets count, each over its own scope."""
        if not facets:
            return ()
        if clock.left("facets") <= 0:
            clock.leave_out(Degradation.FACETS_SKIPPED)
            return ()
        with clock.stage("facets", len(facets)):
            return tuple(
                self._catalogue.count(facet, allowed if facet.scope == "matched" else recalled)
                for facet in facets
            )

    def browse(
        self,
        allowed: Bool[np.ndarray, " items"],
        offset: int,
        end: int,
        facets: Sequence[Facet],
        max_per_group: int,
        clock: Clock,
        ruling: Ruling | None = None,
    ) -> SearchResult:
        """The page from `offset` to `end` of all items that pass, by popularity.

        Nothing is recalled, so facets count what matched whatever they ask for. Rules, which have
        taken note of `max_per_group`, work on the logarithm of 1 + the number of ratings.
        """
        if ruling is not None:
            return self._browse_by(ruling, allowed, offset, end, facets, clock)
        with clock.stage("browse", self.matches(allowed)):
            rows = self._popularity.rows(allowed)
            stay = self.shown(rows, max_per_group, end + 1)
        hits = tuple(
            Hit(item.item_id, self._popularity.score(row), item=item)
            for row in rows[stay[offset:end]].tolist()
            for item in (self._catalogue.item(row),)
        )
        counts = self._count_matched(facets, allowed, clock)
        return SearchResult(
            hits,
            tuple(clock.stages),
            0,
            0,
            len(stay) > end,
            matched=len(rows),
            facets=counts,
            left_out=tuple(clock.left_out),
        )

    def _browse_by(
        self,
        ruling: Ruling,
        allowed: Bool[np.ndarray, " items"],
        offset: int,
        end: int,
        facets: Sequence[Facet],
        clock: Clock,
    ) -> SearchResult:
        matched = self.matches(allowed)
        with clock.stage("browse", matched):
            others = allowed.copy()
            others[ruling.pins] = False
            rows = np.concatenate([ruling.pins, self._popularity.rows(others)])
        with clock.stage("rules", matched):
            scores = np.log1p(self._popularity.scores(rows))
            arranged = ruling.arrange(rows, scores, len(rows) - len(ruling.pins), 0, end)
        hits = tuple(
            Hit(item.item_id, float(arranged.scores[place]), item=item)
            for place in arranged.places[offset:end].tolist()
            for item in (self._catalogue.item(int(rows[place])),)
        )
        counts = self._count_matched(facets, allowed, clock)
        return SearchResult(
            arranged.explained(hits, offset),
            tuple(clock.stages),
            0,
            0,
            len(arranged.places) > end,
            matched=matched,
            facets=counts,
            left_out=tuple(clock.left_out),
            rules=arranged.reports,
        )

    def _count_matched(
        self, facets: Sequence[Facet], allowed: Bool[np.ndarray, " items"], clock: Clock
    ) -> tuple[FacetCounts, ...]:
        over_matched = [replace(facet, scope="matched") for facet in facets]
        return self.count(over_matched, allowed, np.zeros(0, np.int32), clock)
