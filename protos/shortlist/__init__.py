"""The contract (`shortlist.v1`) and its Python clients (`shortlist.client`, `shortlist.aio`)."""
