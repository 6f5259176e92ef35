"""What a request takes from the catalogue without models: filtering, counting, browsing."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.facets import Facet, FacetCounts
from catalog.filters import Filter
from search.channels.base import Allowed
from search.pipeline.caps import keep
from search.pipeline.popularity import Popularity
from search.pipeline.rules import Ruling
from search.result import Degradation, Hit, SearchResult
from search.runtime.deadline import Clock


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
        caps = [(self._catalogue.codes("group_id"), max_per_group)] if max_per_group else []
        return keep(ranked, caps, np.zeros(0, np.int32), wanted).places

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
        matched = self.matches(allowed)
        arranged = None
        if ruling is None:
            with clock.stage("browse", matched):
                rows = self._popularity.rows(allowed)
                places = self.shown(rows, max_per_group, end + 1)
                page = places[offset:end]
                scores = self._popularity.scores(rows[page])
        else:
            with clock.stage("browse", matched):
                others = allowed.copy()
                others[ruling.pins] = False
                rows = np.concatenate([ruling.pins, self._popularity.rows(others)])
            with clock.stage("rules", matched):
                by_rating = np.log1p(self._popularity.scores(rows))
                recalled = len(rows) - len(ruling.pins)
                arranged = ruling.arrange(rows, by_rating, recalled, 0, end)
            places = arranged.places
            page = places[offset:end]
            scores = arranged.scores[page]
        items = [self._catalogue.item(row) for row in rows[page].tolist()]
        hits = tuple(
            Hit(item.item_id, score, item=item)
            for item, score in zip(items, scores.tolist(), strict=True)
        )
        over_matched = [replace(facet, scope="matched") for facet in facets]
        counts = self.count(over_matched, allowed, np.zeros(0, np.int32), clock)
        return SearchResult(
            hits if arranged is None else arranged.explained(hits, offset),
            tuple(clock.stages),
            0,
            0,
            len(places) > end,
            matched=matched,
            facets=counts,
            left_out=tuple(clock.left_out),
            rules=() if arranged is None else arranged.reports,
        )
