"""Search among the items that pass a filter, compared with other libraries."""
