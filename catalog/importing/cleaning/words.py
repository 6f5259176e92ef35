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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> Mapping[str, str]:
    return dict(pair.split("=") for pair in text.split())


# The codes of ISO 4217.
CURRENCIES = _words(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN "
    "BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD "
    "FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD "
    "JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT "
    "MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG "
    "QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR "
    "ZMW ZWG ZWL"
)
# In lower case, without spaces.
CURRENCY_SIGNS = _pairs(
    "€=EUR £=GBP ₹=INR ₽=RUB ₺=TRY ₩=KRW ₪=ILS ₫=VND ₴=UAH ฿=THB ₦=NGN ₱=PHP ₸=KZT us$=USD a$=AUD "
    "au$=AUD c$=CAD ca$=CAD nz$=NZD hk$=HKD s$=SGD nt$=TWD mx$=MXN r$=BRL zł=PLN kč=CZK rs=INR "
    "ft=HUF lei=RON fr=CHF sfr=CHF руб=RUB 元=CNY rmb=CNY 円=JPY 원=KRW r=ZAR rm=MYR rp=IDR "
    "euro=EUR euros=EUR"
)
# Signs of several currencies, the most common one first; `--currency` names another. "": no guess.
AMBIGUOUS_SIGNS: Mapping[str, tuple[str, ...]] = {
    "$": (
        *("USD", "AUD", "CAD", "NZD", "HKD", "SGD", "TWD", "MXN", "ARS", "CLP", "COP", "UYU"),
        *("DOP", "CUP", "BBD", "BMD", "BND", "BSD", "BZD", "FJD", "GYD", "JMD", "KYD", "LRD"),
        *("NAD", "SBD", "SRD", "TTD", "XCD"),
    ),
    "¥": ("JPY", "CNY"),
    "￥": ("CNY", "JPY"),
    "kr": ("", "SEK", "NOK", "DKK", "ISK"),
}
# Currencies whose prices have no decimals.
WITHOUT_DECIMALS = _words("JPY KRW VND ISK")

LANGUAGES = _pairs(
    "english=en german=de french=fr spanish=es italian=it dutch=nl portuguese=pt polish=pl "
    "russian=ru japanese=ja chinese=zh korean=ko deutsch=de français=fr español=es"
)
