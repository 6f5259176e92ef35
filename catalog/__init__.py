"""What is searched: dataset schemas and readers, the item store, item text, the demo store."""
