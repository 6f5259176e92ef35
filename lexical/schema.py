"""The tantivy schema of a lexical index, and the documents, terms and queries that fit it."""

from collections.abc import Iterator
from pathlib import Path

import tantivy

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes
from catalog.item_text import field_text
from catalog.items import Item
from lexical.analysers import ANALYSERS
from lexical.config import LexicalConfig

ROW = "row"


class IndexSchema:
    """The schema of an index with one configuration.

    Attributes:
        config: The configuration.
        weights: The weight of each indexed item field.
        tantivy: The schema of the files: one text field per indexed item field, and the row.
    """

    def __init__(self, config: LexicalConfig) -> None:
        """Build the schema for a configuration."""
        self.config = config
        self.weights = config.indexed
        self._analyser = ANALYSERS[config.analyser]
        self._tokenizer = self._analyser.build_tokenizer()
        builder = tantivy.SchemaBuilder()
        for field in self.weights:
            builder.add_text_field(
                field, tokenizer_name=self._analyser.tokenizer_name, index_option="freq"
            )
        builder.add_unsigned_field(ROW, indexed=True, fast=True)
        self.tantivy = builder.build()

    def index(self, directory: Path) -> tantivy.Index:
        """Open or create the index in `directory`. In both cases, tantivy writes to the directory.

        Raises:
            ValueError, OSError: the index is damaged, or has another schema.
        """
        index = tantivy.Index(self.tantivy, path=str(directory))
        index.register_tokenizer(self._analyser.tokenizer_name, self._tokenizer)
        return index

    def open_read_only(self, directory: Path, links: Path) -> tantivy.Index:
        """Open the index in `directory` through links to its files.

        tantivy creates a lock file in every directory that it opens, and fails if it cannot.

        Args:
            directory: The directory of the index; nothing is written to it.
            links: An empty directory for the links.

        Raises:
            InputError: there is no index, or it is damaged or of another format.
            OSError: the links cannot be made.
        """
        if not (directory / "meta.json").is_file():
            raise InputError(
                f"{directory}: no lexical index there (meta.json is missing); build it with "
                "`shortlist train index`"
            )
        for file in directory.iterdir():
            (links / file.name).symlink_to(file.resolve())
        try:
            read_bytes(directory / "meta.json", limits.JSON_BYTES)  # tantivy reads it whole
            index = self.index(links)
            index.config_reader(reload_policy="manual")
        except (ValueError, OSError) as error:
            raise InputError(
                f"{directory}: the lexical index cannot be opened ({error}); check the free space "
                f"of {links.parent}, or build the index again with `shortlist train index`"
            ) from error
        return index

    def terms(self, text: str) -> list[str]:
        """Return the terms of a text, in order; a term may occur several times."""
        return list(self._tokenizer.analyze(self._analyser.prepare(text)))

    def document(self, row: int, item: Item) -> tantivy.Document:
        """Return an item as a document of tantivy."""
        texts = {name: self._analyser.prepare(text) for name, text in self._texts(item)}
        return tantivy.Document.from_dict({ROW: row, **texts}, self.tantivy)

    def item_terms(self, item: Item) -> set[str]:
        """Return the distinct terms of an item's indexed fields."""
        return {term for _, text in self._texts(item) for term in self.terms(text)}

    def row_query(self, row: int) -> tantivy.Query:
        """Return the query that matches the item in one row."""
        return tantivy.Query.term_query(self.tantivy, ROW, row, "basic")

    def _texts(self, item: Item) -> Iterator[tuple[str, str]]:
        """Yield the name and text of each indexed field; skip fields without text."""
        for name in self.weights:
            if text := field_text(item, name):
                yield name, text
