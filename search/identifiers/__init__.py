"""Identifiers: codes of items, such as item_id, GTIN, MPN and SKU, and how queries find them."""
