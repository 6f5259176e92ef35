"""Snapshots: the catalogue with its indexes at one moment. A request searches one snapshot."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int32

from base.untrusted import limits
from catalog.catalogue import Catalogue
from catalog.items import Item
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.suggestions import SuggestionIndex
from search import bundle
from search.bundle.building import open_held_out
from search.channels import CHANNELS, ChannelTypes
from search.channels.base import Allowed
from search.channels.fusion import Channels
from search.curation.table import NO_CURATIONS, Curations
from search.errors import UnknownItemsError
from search.feature_source import FeatureSource
from search.identifiers.matching import CodeMatch, find_codes
from search.identifiers.table import Identifiers
from search.ranking.popularity import Popularity
from search.recommending.learned import Learned
from search.result import Hit, ItemList, Lookup, SearchResult
from search.runtime.deadline import caller_check
from search.runtime.stage_timer import StageTimer
from search.understanding.interpretation import Interpretation, Understanding
from search.understanding.understanding import QueryUnderstanding
from search.understanding.words import words_of
from towers.exact import recall
from towers.vectors import VECTORS_FILE

_SAMPLE = 50  # number of queries for measuring recall while serving


@dataclass(frozen=True)
class Snapshot:
    """The state of all items at one moment. A snapshot never changes; a write makes a new one.

    Attributes:
        catalogue: The items.
        channels: The recall channels.
        feature_source: The source of the reranker's features.
        popularity: The order of items for requests without a query.
        understanding: The data that queries are understood with.
        identifiers: The codes of items.
        sample: Unit vectors of queries for measuring recall. The index was not tuned on them.
        suggestions: The suggestions of the bundle; None in bundles without suggestions.
        curations: The curations of the bundle and live curations. `understanding` has their
            synonyms.
        learned: The recommender of the bundle; None in bundles without one.
    """

    catalogue: Catalogue
    channels: Channels
    feature_source: FeatureSource
    popularity: Popularity
    understanding: QueryUnderstanding
    identifiers: Identifiers
    sample: Float32[np.ndarray, "sample dim"]
    suggestions: SuggestionIndex | None = None
    curations: Curations = NO_CURATIONS
    learned: Learned | None = None

    @classmethod
    def open(
        cls, directory: Path, manifest: bundle.Manifest, available: ChannelTypes = CHANNELS
    ) -> "Snapshot":
        """Open the items and indexes of a verified bundle.

        Args:
            directory: The bundle.
            manifest: The manifest of the bundle, which names the channels to open.
            available: All channels of this version.

        Raises:
            BundleError: the bundle was built with a channel that this version lacks.
            InputError: a file is damaged, or needs too much memory.
            DeadlineExceededError: the caller left, or its deadline passed.
        """
        check = caller_check()
        check()
        items, vectors = directory / bundle.ITEMS, directory / bundle.INDEX / VECTORS_FILE
        stored = items.stat().st_size + vectors.stat().st_size
        most = limits.TABLE_BYTES + limits.TABLE_RATIO * stored
        catalogue = Catalogue.of(ItemStore.read(items, most, check))
        as_of = date.fromisoformat(manifest.as_of) if manifest.as_of else None
        source = FeatureSource.open(directory, catalogue, as_of, manifest.channels, available)
        assert source.channels is not None
        suggestions = directory / bundle.SUGGESTIONS
        curations = Curations.read(directory / bundle.UNDERSTANDING)
        return cls(
            catalogue,
            source.channels,
            source,
            Popularity.of(catalogue),
            QueryUnderstanding.of(catalogue, curations.synonyms),
            Identifiers.of(catalogue),
            np.array(open_held_out(directory / bundle.INDEX)[:_SAMPLE]),
            SuggestionIndex.open(suggestions, len(catalogue)) if suggestions.is_dir() else None,
            curations,
            Learned.open(directory, source.channels, catalogue),
        )

    def changed(
        self, catalogue: Catalogue, channels: Channels | None = None, added: Sequence[Item] = ()
    ) -> "Snapshot":
        """Return a snapshot with another catalogue and, if given, with other channels.

        Args:
            catalogue: The new catalogue.
            channels: The new channels; None keeps the present channels.
            added: The items that are in the new catalogue only.
        """
        learned = self.learned
        if learned is not None and channels is not None:
            learned = learned.over(channels, catalogue)
        channels = channels or self.channels
        return replace(
            self,
            catalogue=catalogue,
            channels=channels,
            feature_source=replace(self.feature_source, catalogue=catalogue, channels=channels),
            popularity=Popularity.of(catalogue, self.popularity),
            understanding=(
                self.understanding.extended(added, catalogue.roles) if added else self.understanding
            ),
            identifiers=Identifiers.of(catalogue, self.identifiers),
            learned=learned,
        )

    def curated(self, curations: Curations) -> "Snapshot":
        """Return a snapshot with other curations."""
        understanding = replace(self.understanding, synonyms=curations.synonyms)
        return replace(self, curations=curations, understanding=understanding)

    def interpret(
        self, text: str, language: str, kinds: Understanding, is_real: Callable[[str], bool]
    ) -> Interpretation:
        """Return what a normalised query was understood as; see `QueryUnderstanding.interpret`."""
        lexical = self.channels.lexical_index
        is_indexed = (lambda _: False) if lexical is None else lexical.has
        pinyin_in = (lambda _: ()) if lexical is None else lexical.pinyin
        default = LexicalConfig() if lexical is None else lexical.schema.config
        return self.understanding.interpret(
            text,
            language,
            kinds,
            is_indexed,
            is_real,
            self._has_prices,
            pinyin_in,
            default.default_language,
        )

    def codes(self, text: str, is_real: Callable[[str], bool]) -> CodeMatch:
        """Return the codes in a normalised query; see `find_codes`."""
        index = self.channels.lexical_index
        return find_codes(text, self.identifiers, self.catalogue, index, is_real)

    def _has_prices(self) -> bool:
        """Return whether an item has a price."""
        parts = self.catalogue.parts
        return any(not np.isnan(part.fields.numbers("price")).all() for part in parts)

    @property
    def terms_of(self) -> Callable[[str], Iterable[str]]:
        """A function that returns the terms of a text in the lexical index, or its words."""
        lexical = self.channels.lexical_index
        return words_of if lexical is None else lexical.schema.terms

    def rows(self, item_ids: Sequence[str]) -> Int32[np.ndarray, " items"]:
        """Return the rows of items; raise UnknownItemsError if the catalogue lacks some."""
        rows = self.catalogue.rows(item_ids)
        if (rows < 0).any():
            unknown = [i for i, row in zip(item_ids, rows, strict=True) if row < 0]
            raise UnknownItemsError(tuple(unknown))
        return rows

    def lookup(self, item_ids: Sequence[str], timer: StageTimer) -> Lookup:
        """Return the items that have the given ids, and the given ids that no item has."""
        with timer.stage("lookup") as stage:
            rows = self.catalogue.rows(item_ids).tolist()
            items = tuple(self.catalogue.item(row) for row in rows if row >= 0)
            stage.candidates = len(items)
        missing = tuple(i for i, row in zip(item_ids, rows, strict=True) if row < 0)
        return Lookup(items, missing, timer.reports)

    def listed(self, after: str, size: int, timer: StageTimer) -> ItemList:
        """Return up to `size` items with the smallest ids after an id."""
        with timer.stage("list") as stage:
            ids = self.catalogue.sorted_ids
            start = bisect_right(ids, after)
            page = ids[start : start + size]
            items = tuple(self.catalogue.item(self.catalogue.row(item_id)) for item_id in page)
            stage.candidates = len(items)
        return ItemList(items, start + len(page) < len(ids), len(ids), timer.reports)

    def count(self, allowed: Allowed) -> int:
        """Return the number of items that a mask allows."""
        return len(self.catalogue) if allowed is None else int(np.count_nonzero(allowed))

    def other_items(
        self, row: int, passed: Allowed, *, exclude_variants: bool
    ) -> Bool[np.ndarray, " items"]:
        """Return a mask of items that pass a filter, without one item and optionally its group."""
        others = (self.catalogue.all_alive if passed is None else passed).copy()
        others[row] = False
        if exclude_variants:
            groups = self.catalogue.groups(np.arange(len(others), dtype=np.int32))
            if groups[row] >= 0:
                others &= groups != groups[row]
        return others

    def recall_at_10(self, give_way: Callable[[], object] = lambda: None) -> float:
        """Measure the share of the exact 10 nearest items that the index finds.

        The exact search includes the added items of the present catalogue, and excludes deleted
        items. It reads all vectors.

        Args:
            give_way: Called before each step. A step takes at most some hundredths of a second. An
                exception that `give_way` raises ends the measurement.
        """
        alive, hits = self.catalogue.alive, []
        for query in self.sample:
            give_way()
            hits.append(self.channels.nearest(query, 10, alive).rows)
        exact = self.channels.exact(self.sample, 10, self.catalogue.all_alive, give_way)
        return recall(exact, np.stack(hits))

    def warm_up(self, depth: int) -> None:
        """Compile or load everything that a search for `depth` items needs."""
        self.channels.warm_up(depth)
        self.popularity.warm_up()
        self.understanding.words.near.warm_up()
        self.catalogue.codes("group_id")  # numbered now, because most searches collapse groups


def without_deleted(result: SearchResult, searched: Snapshot, current: Snapshot) -> SearchResult:
    """Return the result without the items that are in `searched` but not in `current`."""
    if current is searched:
        return result
    hits = tuple(hit for hit in result.hits if not _is_deleted(hit, searched, current))
    return result if len(hits) == len(result.hits) else replace(result, hits=hits)


def _is_deleted(hit: Hit, searched: Snapshot, current: Snapshot) -> bool:
    return searched.catalogue.row(hit.item_id) >= 0 > current.catalogue.row(hit.item_id)
