"""The catalogue: items and their fields, the dataset schema, the item store, filters and facets."""
