"""Limits on the files of a bundle and on the models in it.

Every limit is several times what real bundles need. A bundle above a limit is refused before the
server reads or allocates what the limit protects.
"""

from collections.abc import Mapping

# Files that are read as a whole.

# JSON files (manifest, configurations, header of weights). Real ones have at most some ten thousand
# bytes. Python needs up to 25 times the bytes of a JSON text.
JSON_BYTES = 4 * 2**20
# `tokenizer.json`. The vocabularies of multilingual models have 250,000 pieces and 17 MB.
TOKENIZER_BYTES = 32 * 2**20
# Characters that a tokenizer may make of one character. NFKD makes up to 18 characters, and real
# tokenizers have up to three replacements, each of which at most doubles a text.
TEXT_GROWTH = 1_024
WORD_CHARACTERS = 1_000  # BERT splits words of up to 100 characters
# `golden.jsonl`. Training records up to eight queries with ten results each.
GOLDEN_BYTES = 2**20
GOLDEN_QUERIES = 100

# The table of items. A real item decodes to about a thousand bytes. Its row of the parquet file and
# its vector have about as many bytes together, even if the items are so alike that the parquet file
# has only a few bytes per row.

TABLE_BYTES = 256 * 2**20  # a small table may always decode to this number of bytes
TABLE_RATIO = 16  # multiple of the bytes of table and vectors that a table may decode to besides
# Python's objects for one row: its id, and its entry in the dictionary of ids.
ROW_BYTES = 200
FOOTER_BYTES = 4 * 2**20  # a footer has some thousand bytes per million rows

# The terms of a lexical index. An index of real items has at least 60 bytes per term.

BYTES_PER_TERM = 4
TERM_CHARACTERS = 256  # analysers drop terms of more than 100 bytes

# Models. Encoders of the BERT family have up to 48 layers and about a billion parameters.

PARAMETERS = 2**30  # in float32, 4 GiB
BERT_SIZES: Mapping[str, int] = {
    "vocab_size": 10_000_000,
    "hidden_size": 8_192,
    "num_layers": 64,  # the time to compile a program grows with the number of layers
    "num_heads": 64,
    "intermediate_size": 65_536,
    "max_positions": 65_536,
    "type_vocab_size": 64,
}
FUSION = 8_192  # width of the reranker's fusion network
# Tokens of one input. The memory of attention grows with the square of this number.
TOKENS = 1_024
