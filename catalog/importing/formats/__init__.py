"""The formats of exports, one per file. Of several formats that a file fits, the first is used."""

from catalog.importing.formats import (
    amazon_reviews,
    esci,
    home_depot,
    magento,
    merchant,
    own,
    shopify,
    ubi,
    wands,
    woocommerce,
)

FORMATS = (
    *(merchant.FORMAT, shopify.FORMAT, woocommerce.FORMAT, magento.FORMAT),
    *(home_depot.FORMAT, esci.FORMAT, wands.FORMAT, ubi.FORMAT, amazon_reviews.FORMAT),
    own.FORMAT,
)
