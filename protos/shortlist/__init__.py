"""The contract of Shortlist (`shortlist.v1`) and its Python client (`shortlist.client`)."""
