"""The pipeline of a search: steps that read and change one `SearchState`, one file each."""
