"""The bundle: manifest, golden queries, models and index building."""

from search.bundle.manifest import (
    FORMAT_VERSION,
    GOLDEN,
    INDEX,
    ITEMS,
    LEXICAL,
    MANIFEST,
    PARTS_VERSION,
    RERANK,
    TOKENIZER,
    TOWERS,
    BundleError,
    Manifest,
    list_files,
    require_unchanged,
    verify,
    write_directory,
)

__all__ = [
    "FORMAT_VERSION",
    "GOLDEN",
    "INDEX",
    "ITEMS",
    "LEXICAL",
    "MANIFEST",
    "PARTS_VERSION",
    "RERANK",
    "TOKENIZER",
    "TOWERS",
    "BundleError",
    "Manifest",
    "list_files",
    "require_unchanged",
    "verify",
    "write_directory",
]
