"""The tantivy schema of a lexical index, and the documents, terms and queries that fit it."""

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import tantivy

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes
from catalog.item_text import field_text
from catalog.items import Item
from catalog.store import ItemStore
from lexical.analysers import ANALYSERS, QueryWord, cjk, compounds
from lexical.analysers.base import Words
from lexical.analysers.languages import LANGUAGES
from lexical.config import LexicalConfig

ROW = "row"
LANGUAGE = "language"  # the language in which an item's words of Latin letters are read
PINYIN = "pinyin"  # the syllables of an item's Han characters
_PINYIN_OF = ("title", "brand", "category")


class IndexSchema:
    """The schema of an index with one configuration.

    Attributes:
        config: The configuration.
        weights: The weight of each indexed item field.
        tantivy: The schema of the files: one text field per indexed item field, and the row.
        by_language: Whether the index also has the languages of its items and their pinyin.
    """

    def __init__(self, config: LexicalConfig, words: Words | None = None) -> None:
        """Build the schema for a configuration.

        Args:
            config: The configuration.
            words: Words of the catalogue by language, of which compounds consist; None: no words.
        """
        self.config = config
        self.weights = config.indexed
        analyser = ANALYSERS[config.analyser]
        self._tokenizer_name = analyser.tokenizer_name
        self._words = words or {}
        self._reader = analyser.open(config.default_language, self._words)
        self.by_language = analyser.by_language
        builder = tantivy.SchemaBuilder()
        for field in (*self.weights, *((LANGUAGE, PINYIN) if self.by_language else ())):
            builder.add_text_field(field, tokenizer_name=self._tokenizer_name, index_option="freq")
        builder.add_unsigned_field(ROW, indexed=True, fast=True)
        self.tantivy = builder.build()

    @classmethod
    def of(cls, store: ItemStore, config: LexicalConfig) -> "IndexSchema":
        """Return the schema of an index of `store`, with the words of compounds in its items."""
        schema = cls(config)
        counts: dict[str, Counter[str]] = {}
        joins = {name for name, language in LANGUAGES.items() if language.compounds}
        languages = set(store.text("language")) | {""}
        if joins.isdisjoint(schema.language(language or "") for language in languages):
            return schema
        for row in range(len(store)):
            item = store.roles.readable(store.item(row))
            language = schema.language(item.language or "")
            if language in joins:
                of_language = counts.setdefault(language, Counter())
                for _, text in schema._texts(item):
                    of_language.update(schema._reader.surface_words(text, language))
        return cls(config, {name: compounds.common_parts(words) for name, words in counts.items()})

    @classmethod
    def read(cls, directory: Path) -> "IndexSchema":
        """Read the schema of the index in `directory`.

        Raises:
            InputError: the configuration or the file of the words of compounds is malformed.
        """
        return cls(LexicalConfig.read(directory), compounds.read(directory))

    def write(self, directory: Path) -> None:
        """Write the configuration and the words of compounds beside the index."""
        self.config.write(directory)
        compounds.write(directory, self._words)

    def index(self, directory: Path) -> tantivy.Index:
        """Open or create the index in `directory`. In both cases, tantivy writes to the directory.

        Raises:
            ValueError, OSError: the index is damaged, or has another schema.
        """
        index = tantivy.Index(self.tantivy, path=str(directory))
        # Documents are terms between spaces, so that Python and tantivy cannot disagree on terms.
        spaces = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        index.register_tokenizer(self._tokenizer_name, spaces)
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

    def terms(self, text: str, language: str = "") -> list[str]:
        """Return the terms of an item's text, in order; a term may occur several times.

        Args:
            text: Any text.
            language: The language of the text, such as en; "": not known.
        """
        return self._reader.terms(text, language)

    def query_words(self, query: str, languages: Collection[str]) -> list[QueryWord]:
        """Return the words of a query, each read in all `languages`."""
        return self._reader.query_words(query, languages)

    def language(self, language: str) -> str:
        """Return the language in which words of Latin letters in texts of `language` are read."""
        return self._reader.language(language)

    def document(self, row: int, item: Item) -> tantivy.Document:
        """Return an item as a document of tantivy."""
        language = item.language or ""
        fields = {name: " ".join(self.terms(text, language)) for name, text in self._texts(item)}
        if self.by_language:
            fields[LANGUAGE] = self.language(language)
            names = " ".join(field_text(item, name) for name in _PINYIN_OF)
            fields[PINYIN] = " ".join(cjk.pinyin_terms(names))
        return tantivy.Document.from_dict({ROW: row, **fields}, self.tantivy)

    def item_terms(self, item: Item) -> set[str]:
        """Return the distinct terms of an item's indexed fields."""
        language = item.language or ""
        return {term for _, text in self._texts(item) for term in self.terms(text, language)}

    def row_query(self, row: int) -> tantivy.Query:
        """Return the query that matches the item in one row."""
        return tantivy.Query.term_query(self.tantivy, ROW, row, "basic")

    def _texts(self, item: Item) -> Iterator[tuple[str, str]]:
        """Yield the name and text of each indexed field; skip fields without text."""
        for name in self.weights:
            if text := field_text(item, name):
                yield name, text
