"""Words of exports in several languages: availability, currencies and names of languages."""

from collections.abc import Mapping

_IN_STOCK = (
    *("in stock", "instock", "available", "limited availability", "limitedavailability"),
    *("onlineonly", "instoreonly", "yes", "y", "true", "on stock"),
    *("auf lager", "lieferbar", "sofort lieferbar", "verfügbar", "sofort verfügbar", "vorrätig"),
    *("ja", "en stock", "disponible", "oui", "en existencia", "en existencias", "sí", "si"),
    *("disponibile", "in magazzino", "em estoque", "em stock", "disponível", "sim"),
    *("op voorraad", "beschikbaar", "leverbaar", "w magazynie", "dostępny", "dostępne", "tak"),
    *("в наличии", "есть в наличии", "да", "i lager", "på lager", "varastossa", "skladem"),
    *("stokta var", "有货", "现货", "有現貨", "有貨", "在庫あり", "재고 있음"),
)
# Items that can be ordered but not sent now count as not in stock.
_NOT_IN_STOCK = (
    *("out of stock", "outofstock", "oos", "unavailable", "sold out", "soldout", "discontinued"),
    *("preorder", "pre order", "backorder", "backordered", "on backorder", "onbackorder"),
    *("no", "n", "false", "not available", "not in stock"),
    *("nicht auf lager", "nicht lieferbar", "nicht verfügbar", "ausverkauft", "vergriffen"),
    *("vorbestellbar", "nein", "rupture de stock", "en rupture de stock", "hors stock", "épuisé"),
    *("indisponible", "non disponible", "non", "agotado", "sin existencias", "sin stock"),
    *("no disponible", "non disponibile", "esaurito", "fora de estoque", "sem estoque", "esgotado"),
    *("indisponível", "não", "niet op voorraad", "uitverkocht", "niet beschikbaar"),
    *("niet leverbaar", "nee", "brak w magazynie", "niedostępny", "niedostępne", "nie"),
    *("нет в наличии", "нет", "slut i lager", "ikke på lager", "ei varastossa", "není skladem"),
    *("stokta yok", "无货", "缺货", "缺貨", "無貨", "在庫なし", "在庫切れ", "품절"),
)
AVAILABILITY: Mapping[str, bool] = {
    **dict.fromkeys(_IN_STOCK, True),
    **dict.fromkeys(_NOT_IN_STOCK, False),
}


def _pairs(text: str) -> Mapping[str, str]:
    return dict(pair.split("=") for pair in text.split())


# In lower case.
CURRENCY_SIGNS = _pairs(
    "€=EUR £=GBP ₹=INR ₽=RUB ₺=TRY ₩=KRW ₪=ILS ₫=VND ₴=UAH ฿=THB ₦=NGN ₱=PHP ₸=KZT us$=USD a$=AUD "
    "c$=CAD ca$=CAD nz$=NZD hk$=HKD s$=SGD r$=BRL zł=PLN kč=CZK rs=INR ft=HUF lei=RON fr=CHF "
    "sfr=CHF руб=RUB 元=CNY 円=JPY 원=KRW"
)
# Signs of several currencies, with the most common one; `--currency` names another. "": no guess.
AMBIGUOUS_SIGNS: Mapping[str, str] = {"$": "USD", "¥": "JPY", "￥": "CNY", "kr": "", "Kr": ""}
# Currencies whose prices have no decimals.
WITHOUT_DECIMALS = frozenset(("JPY", "KRW", "VND", "ISK"))

LANGUAGES = _pairs(
    "english=en german=de french=fr spanish=es italian=it dutch=nl portuguese=pt polish=pl "
    "russian=ru japanese=ja chinese=zh korean=ko deutsch=de français=fr español=es"
)
