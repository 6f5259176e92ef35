"""One hand-made export of each format that `shortlist import` reads."""

from tests.catalog.importing.made import feeds, others, public, shops

EXPORTS = {
    "merchant-tsv": feeds.TSV,
    "merchant-rss": feeds.RSS,
    "merchant-atom": feeds.ATOM,
    "shopify": shops.SHOPIFY,
    "woocommerce": shops.WOOCOMMERCE,
    "magento": shops.MAGENTO,
    "home-depot": public.HOME_DEPOT,
    "esci": public.ESCI,
    "wands": public.WANDS,
    "ubi": public.UBI,
    "amazon-reviews": public.AMAZON_REVIEWS,
    "mapped-csv": others.MAPPED_CSV,
    "mapped-json": others.MAPPED_JSON,
    "shortlist": others.OWN,
}
