"""The bundle: manifest, golden queries, models and index building."""

from base.atomic_files import write_directory
from search.bundle.manifest import (
    FORMAT_VERSION,
    GOLDEN,
    INDEX,
    ITEMS,
    LEXICAL,
    MANIFEST,
    PARTS_VERSION,
    RERANK,
    SUGGESTIONS,
    TOKENIZER,
    TOWERS,
    UNDERSTANDING,
    BundleError,
    Manifest,
    list_files,
    require_unchanged,
    verify,
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
    "SUGGESTIONS",
    "TOKENIZER",
    "TOWERS",
    "UNDERSTANDING",
    "BundleError",
    "Manifest",
    "list_files",
    "require_unchanged",
    "verify",
    "write_directory",
]
