"""The words of price limits, by language."""

from dataclasses import dataclass
from typing import Literal

from search.understanding.phrases import word_set

Side = Literal["below", "at_most", "above", "at_least"]  # a field of `filters.Interval`


@dataclass(frozen=True)
class Bound:
    """Words before a number that make the number a bound.

    Attributes:
        side: The side of the interval.
        words: The words, each a regular expression.
        bare: Whether a number without a currency is a price, if nothing suggests another amount.
    """

    side: Side
    words: str
    bare: bool = False


# Longer words come before words that they begin with.
BOUNDS = (
    # English
    Bound("below", r"under|below|beneath|less than|cheaper than|lower than|not over", bare=True),
    Bound("below", r"sub|within"),
    Bound(
        "at_most",
        r"no more than|not more than|not exceeding|at most|max price|price limit",
        bare=True,
    ),
    Bound("at_most", r"maximum price|max price of|<=|≤", bare=True),
    Bound("below", r"<", bare=True),
    Bound("at_most", r"up to|maximum of|maximum|max\.?"),
    Bound("above", r"over|above|more than|higher than|pricier than|>", bare=True),
    Bound("at_least", r"at least|no less than|starting at|starting from|from|minimum of|minimum"),
    Bound("at_least", r"min\.?|>=|≥"),
    # German
    Bound("below", r"unterhalb von|unter|weniger als|billiger als|günstiger als", bare=True),
    Bound("at_most", r"nicht mehr als|bis zu|bis|höchstens|maximal"),
    Bound("above", r"über|mehr als|teurer als"),
    Bound("at_least", r"mindestens|ab"),
    # French
    Bound("below", r"à moins de|a moins de|moins de|en dessous de|en-dessous de", bare=True),
    Bound("below", r"moins cher que|inférieur à|sous"),
    Bound("at_most", r"jusqu['’]à|pas plus de|au maximum|au plus"),
    Bound("above", r"plus de|au-dessus de|au dessus de|supérieur à"),
    Bound("at_least", r"à partir de|a partir de|au moins"),
    # Spanish and Portuguese
    Bound("below", r"por menos de|menos de|por debajo de|debajo de|abaixo de", bare=True),
    Bound("below", r"bajo|más barato que|mais barato que"),
    Bound("at_most", r"no más de|no mas de|como máximo|no máximo|máximo|maximo|hasta|até"),
    Bound("above", r"más de|mas de|por encima de|encima de|mais de|acima de"),
    Bound("at_least", r"al menos|por lo menos|pelo menos|desde|mínimo"),
    # Italian, Dutch
    Bound("below", r"meno di|sotto i|sotto gli|sotto|minder dan|goedkoper dan|onder de", bare=True),
    Bound("at_most", r"fino a|massimo|al massimo|tot|maximaal|hoogstens"),
    Bound("above", r"più di|oltre i|oltre|meer dan|boven de|boven"),
    Bound("at_least", r"almeno|vanaf|minstens"),
    # Russian
    Bound("below", r"дешевле|меньше|менее|ниже"),
    Bound("at_most", r"не более|не дороже|до"),
    Bound("above", r"дороже|больше|более|выше|свыше"),
    Bound("at_least", r"не менее|от"),
)

# Words before a bound that say that a price follows, so that a bare number is enough.
PRICE_WORDS = (
    r"price range|price|prices|priced|costing|costs|cost|budget|preis|kosten|prix|precio|preço"
    r"|prezzo|prijs|цена"
)
# Words after a number that make it a bound.
AFTER = (
    Bound("at_most", r"or less|or under|or below|or cheaper|and under|and below|and less|tops|max"),
    Bound(
        "at_most", r"maximum|budget|oder weniger|oder günstiger|ou moins|o menos|ou menos|o meno"
    ),
    Bound("at_most", r"of minder|или меньше|или дешевле"),
    Bound("at_least", r"or more|or over|or above|and up|and over|and above|and more|minimum|plus"),
    Bound("at_least", r"oder mehr|ou plus|o más|o mas|ou mais|o più|of meer|или больше"),
)
BETWEEN = r"between|zwischen|entre|tra|fra|tussen"  # before a range; a bare range is a price
FROM = r"from|von|de|desde|da|van|от"  # before a range of money
TO = r"-|–|—|~|to|and|bis|und|à|et|a|y|e|tot|en|до|и"  # between the numbers of a range

MONEY_BEFORE = r"(?:us\$|ca\$|a\$|r\$|[$€£¥₹₽₩]|usd|eur|gbp|chf|rmb|cny)"
MONEY_AFTER = (
    r"(?:[$€£¥₹₽₩]|(?:dollars?|bucks?|usd|euros?|eur|quid|gbp|sterling|yuan|rmb|cny|yen|jpy|francs?"
    r"|franken|chf|rupees?|inr|pesos?|reais|zł|руб(?:лей|ля|\.)?|евро|долларов|kr)(?!\w))"
)

NUMBERS = {
    "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90, "one hundred": 100, "a hundred": 100, "hundred": 100,
    "two hundred": 200, "three hundred": 300, "five hundred": 500, "one thousand": 1_000,
    "a thousand": 1_000, "thousand": 1_000,
}  # fmt: skip

# Words after a number that show that it is no price. Ends of words are part of the expression.
UNITS = (
    r"(?:square|cubic|fluid|sq|cu|fl)\b|"
    r"(?:inch(?:es)?|in|ft|feet|foot|yards?|yd|mm|cm|m|km|meters?|metres?|miles?|mi|zoll|pouces?"
    r"|pulgadas?|pollici|inches|oz|ounces?|lbs?|pounds?|kgs?|kilos?|kilograms?|g|gr|grams?|mg|stone"
    r"|tons?|tonnes?|ml|cl|l|liters?|litres?|liter|litros?|litri|gal|gallons?|quarts?|qt|cups?|pints?"
    r"|v|volts?|w|watts?|kw|kwh|wh|a|amps?|ma|mah|ah|hz|khz|mhz|ghz|fps|kb|mb|gb|tb|gbps|mbps|psi"
    r"|bar|btus?|hp|cv|ps|rpm|gpm|cfm|dpi|ppi|mp|megapixels?|db|decibels?|lumens?|nits?|k|p|dpt|denier|tog|gsm"
    r"|degrees?|deg|°\w?|grad|degrés?|grados?|gradi|f|c|celsius|fahrenheit|percent|prozent|pct"
    r"|seconds?|secs?|minutes?|mins?|minuten|hours?|hrs?|stunden|heures?|horas?|ore|days?|tage|jours?"
    r"|días|weeks?|months?|monate|mois|meses|years?|yrs?|yo|jahren?|ans?|años|anni|anos|jaar|лет|года?"
    r"|calories|cals?|kcal|carbs?|servings?|sugars?|ingredients?|pages?|words|pieces?|pcs?|packs?|pk"
    r"|counts?|ct|threads?|tc|sheets?|rolls?|stück|pièces?|piezas?|items?|units?|sets?|boxes|bags|cans"
    r"|bottles?|people|persons?|personen|personnes?|personas?|persone|players?|guests?|seats?|users?"
    r"|doors?|drawers?|shelves|ports?|speeds?|gears?|levels?|layers?|stars?|sterne|reviews?|ratings?"
    r"|views|followers|miles|mph|kph|kmh|rounds?|reps|stories|rooms?|beds?|bedrooms?|cars?|horsepower"
    r"|karats?|carats?|grit|gauge|ga|spf|ph|proof|abv|cores|channels|keys|strings|notes|songs|channels"
    r"|times|x|off|and up ages|year-old|month-old|см|мм|м|кг|г|л|шт)(?!\w)"
)
# Words shortly before a bound that show that its number is no price.
OTHER_AMOUNTS = word_set(
    """width wide height tall high length long depth deep diameter weight weighs weighing size sizes
    waist inseam capacity holds hold supports fits temperature temperatures wattage noise speed spf
    score resolution rated rating memory storage volume pressure thickness thick power load größe
    gewicht höhe breite länge taille poids hauteur largeur peso altura talla tamaño ancho largo"""
)
# Words shortly before a bound that show that a number up to 99 is an age.
AGES = word_set(
    """age aged ages kids children toddlers toddler boys girls babies men women adults seniors
    people teens persons alter âge edad"""
)
# Words that may follow a bare number, because they begin another part of the query.
CONNECTORS = (
    r"for|with|without|in|on|and|or|but|that|which|from|by|only|please|für|mit|ohne|und|pour|avec"
    r"|sans|et|para|con|sin|y|com|sem|per|voor|met|для|с"
)

# Chinese. A number is a price if money follows, or if nothing suggests another amount.
HAN_MONEY = r"(?:元|块钱|块|人民币|圆|美元|美金|欧元|日元|港币|港元|英镑|刀)"
HAN_AFTER = (
    Bound("at_most", r"以下|以内|之内|之下|以里|封顶|及以下", bare=True),
    Bound("at_most", r"内|左右以下"),
    Bound("below", r"便宜"),
    Bound("at_most", r"的?预算", bare=True),
    Bound("at_least", r"以上|及以上|往上", bare=True),
    Bound("at_least", r"起步|起"),
)
HAN_BEFORE = (
    Bound("at_most", r"不超过|不高于|不大于|不要超过|别超过|不多于|最多|最高|顶多|至多", bare=True),
    Bound("at_most", r"控制在|预算在|预算是|预算为|预算|上限为?|<=|≤", bare=True),
    Bound("below", r"<"),
    Bound("above", r">"),
    Bound("at_least", r">=|≥"),
    Bound("below", r"低于|小于|少于|不到|便宜于|不足", bare=True),
    Bound("at_least", r"不低于|不少于|不小于|至少|最低|起码", bare=True),
    Bound("above", r"高于|大于|超过|多于|贵于", bare=True),
)
HAN_PRICE_WORDS = r"控制在|人民币|价格|价位|价钱|售价|单价|预算|卖|价"
HAN_OTHER_AMOUNTS = (
    "身高|体重|年龄|岁数|尺寸|重量|容量|温度|零下|气温|长度|宽度|高度|厚度|深度|直径|功率|层数|页数|内存|"
    "硬盘|电压|像素|续航|转速|噪音|评分|销量|好评|度数|腰围|胸围|脚长|码数|尺码|长|宽|高|厚|厘米|满"
)
HAN_OTHER_AFTER = (
    r"(?:的?(?:加减|乘法|乘除|除法|口算|计算|算术|数学|识字|数字|练习|人|岁|片|度|米))"
)
