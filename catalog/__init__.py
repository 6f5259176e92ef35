"""What is searched: the schema, the item store, filters, facets and item text."""
