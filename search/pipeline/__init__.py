"""The pipeline of a search: steps that work on one state, one file each."""
