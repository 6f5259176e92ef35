"""Curations: synonyms, and rules that apply to certain queries, of a dataset or changed live."""
