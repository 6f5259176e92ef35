"""The lexical index: BM25 over item fields, its analysers and its vocabulary."""
