"""The formats of exports, one per file. Of several formats that a file fits, the first is used."""

from catalog.importing.formats import merchant, shopify

FORMATS = (merchant.FORMAT, shopify.FORMAT)
