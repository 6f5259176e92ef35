"""Exclusions in a query: "without sugar", "no lace", "sugar free", "无糖", "ohne Zucker".

The excluded words leave the text that both stages read, so that they do not pull in items that have
them. The phrases "sugar free" and 无糖 stay, because they are words of wanted items.

Not every "no" or "without" is an exclusion: "no. 8 screw", "no drill blinds" and "never without"
are not, and neither is a phrase that titles of the catalogue have.
"""

import re
from collections.abc import Callable

from search.understanding.interpretation import Exclusion
from search.understanding.phrases import word_set

# Words that begin an exclusion.
_WITHOUT_FIRST = word_set("without w/o excluding ohne")  # may begin a query
_WITHOUT = word_set("without w/o excluding except minus ohne sans sin senza sem zonder без")
_NO = word_set("no not kein keine keinen geen")  # need other words before
_SKIPPED = word_set(
    """a an the any added artificial too much der die das le la les el un una eine einen de
    zugesetzten"""
)
_AND = word_set("and or nor & , und oder et ou y o e of и или")
# Two words that begin an exclusion: "shampoo free of sulfates", "doesn't contain fluoride".
_WITHOUT_PAIRS = frozenset(
    (
        ("free", "of"),
        ("anything", "but"),
        ("not", "containing"),
        ("doesn't", "contain"),
        ("don't", "want"),
    )
)
# Materials after "non": "non-leather" is an exclusion, and "non-stick" is none.
_MATERIALS = word_set(
    """leather suede wool fur down feather cotton linen silk polyester nylon acrylic latex rubber
    plastic metal aluminum aluminium glass wood wooden dairy alcoholic alcohol meat"""
)
# Words that end the excluded words.
_ENDS = word_set(
    """for with in on under over from by to at but that which who when while is are as like size
    für mit auf pour avec dans para con en por com per voor met для с"""
)
# Words before "without" that show that it is no exclusion.
_NOT_BEFORE = word_set("""never not nothing live go going do doing lost leave can't cannot nie""")
# Words after "without" or "no" that show that it is no exclusion: phrases and titles.
_NO_BEFORE = word_set("dr mr or yes say says")
_IDIOMS = word_set(
    """you me him her us them it cause trace borders limits limit end fear remorse warning words
    doubt question reservation women men rain mercy god gods walls reason equal parallel
    compromise exception qualities further saying being going hesitation delay regard rest regrets
    apology a's"""
)
_NO_IDIOMS = word_set(
    """drill drilling slip show tie iron sew bake scratch rinse stick pull spill fog dig touch wax
    name mess chew tear tears cry kill fuss break bend sweat skid snag poo run bark contact
    longer more one matter problem limit doubt good smoking parking entry exit trespassing
    soliciting dogs man mans brainer country time game way other knead churn boil peel fade
    glare roll flat hub rise screw nail stain crack leak strings included just only so very
    really available yes nonsense rules filter place war exit diving swimming fishing hunting
    loitering photos turn turns outlet"""
)
# What items are free of: "sugar free", "fragrance-free".
_FREE_OF = word_set(
    """sugar gluten lactose dairy fat alcohol caffeine fragrance perfume scent sulfate sulphate
    sulfates paraben parabens silicone bpa pfas pvc nickel lead latex nut nuts peanut soy egg
    wheat grain yeast salt sodium oil aluminum aluminium fluoride phthalate gmo msg formaldehyde
    peroxide ammonia talc"""
)
_BEFORE = word_set("with but and mit aber avec mais con pero ,")  # belong to the exclusion
_MAX_AFTER_NO = 2  # maximum number of words of a thing after "no" or "not"
_MAX_WORDS = 3  # maximum number of words of an excluded thing

_HAN_SUBSTANCES = (
    "糖精|蔗糖|乳糖|白糖|糖|酒精|咖啡因|麸质|香精|香料|色素|防腐剂|添加剂|人工添加剂|硅油|荧光剂|甲醛|磷|氟|盐|"
    "味精|反式脂肪|脂肪|脂|油|奶|乳|蛋|骨|刺|香味|气味|味|铅|镍|塑化剂|双酚a|麦麸|坚果|花生|大豆|胶水|胶|激素|抗生素"
)
_HAN_MATERIALS = (
    "真皮|皮质|皮革|皮|布艺|布质|塑料|金属|羊毛|纯棉|棉|化纤|木质|实木|乳胶|橡胶|玻璃|油炸|转基因"
)
_HAN_FREE = re.compile(
    rf"(?:无添加|零添加|0添加|不添加|无|零|0|免)(?P<what>{_HAN_SUBSTANCES})(?!线)"
)
_HAN_WITHOUT = re.compile(
    rf"(?:非(?P<material>{_HAN_MATERIALS})|除了?(?P<other>[\u4e00-\u9fffa-z]{{1,6}}?)(?:之外|以外|外)"
    r"|(?:不含有?|不带有?|不加|不添加|不要有?|没有|去除|排除|除去|别要|不包含|不想要|不是|除了)(?P<what>"
    rf"(?:{_HAN_SUBSTANCES})(?=[^\u4e00-\u9fff]|$|的|[\u4e00-\u9fff]{{2}})|[\u4e00-\u9fffa-z]{{1,6}}?(?=的|\s|$|[,，。])))(?P<of>的?)"
)
_HAN_IDIOMS = word_set("烦恼 明天 什么 你 我 他 她 钱 命 脸 了 人 之一 关系 问题 最好 更好")
_HAN_NO_THINGS = re.compile("什么|脸|你|我|他|她|人(?!工|造)")
_TOKEN = re.compile(r"[^\s,]+|,")


def exclusions_in(
    text: str, follows: Callable[[str, str], bool]
) -> tuple[str, tuple[Exclusion, ...]]:
    """Return a normalised text without what is excluded, and the exclusions.

    Args:
        text: The text.
        follows: Whether titles of the catalogue have one word directly after another.
    """
    text, han = _han_exclusions(text)
    tokens = _TOKEN.findall(text)
    kept, exclusions, position = list[str](), list[Exclusion](), 0
    while position < len(tokens):
        end, phrases = _excluded(tokens, position, follows)
        if phrases:
            while kept and kept[-1] in _BEFORE:
                kept.pop()
            words = " ".join(tokens[position:end]).replace(" ,", ",")
            exclusions += [Exclusion(words, phrase) for phrase in phrases]
        else:
            kept += tokens[position:end]
        position = end
    for first, second in zip(tokens, [*tokens[1:], ""], strict=False):
        what = first.removesuffix("-free") if first.endswith("-free") else first
        is_free = first.endswith("-free") or second == "free"
        if is_free and what in _FREE_OF:
            words = first if first.endswith("-free") else f"{first} free"
            exclusions.append(Exclusion(words, what))
    exclusions += han
    if not exclusions:
        return text, ()
    return " ".join(kept).replace(" ,", ","), tuple(exclusions)


def _excluded(
    tokens: list[str], start: int, follows: Callable[[str, str], bool]
) -> tuple[int, list[str]]:
    """Return where the exclusion at a token ends, and what it excludes."""
    word, before = tokens[start], tokens[start - 1] if start else ""
    nothing = (start + 1, list[str]())
    pair = tuple(tokens[start : start + 2])
    if pair in _WITHOUT_PAIRS or (word not in _WITHOUT and word not in _NO):
        return _operator(tokens, start) or nothing
    begin = start + 1
    while begin < len(tokens) and tokens[begin] in _SKIPPED:
        begin += 1
    first, second = [*tokens[begin : begin + 2], "", ""][:2]
    if (
        not _is_thing(first)
        or before in _NOT_BEFORE
        or first in _IDIOMS
        # The query may be a title, or a part of one.
        or (before and follows(before, word) and follows(word, tokens[start + 1]))
    ):
        return nothing
    if word in _NO:
        is_phrase = first in _NO_IDIOMS or first.endswith(("-free", "ing")) or second == "free"
        needs_more = before in _NO_BEFORE or (not before and first not in _FREE_OF)
        if is_phrase or needs_more:
            return nothing
        end, things = _things(tokens, begin)
        # "Dress no lace long" may continue with what is wanted.
        is_short = end - begin <= _MAX_AFTER_NO and before and end == len(tokens)
        return (end, things) if is_short else (begin + 1, [first])
    if not before:  # "without sugar oat milk": the rest is what is wanted
        return (begin + 1, [first]) if second and word in _WITHOUT_FIRST else nothing
    return _things(tokens, begin)


def _operator(tokens: list[str], start: int) -> tuple[int, list[str]] | None:
    """Return where "-beats", "non-leather" or "free of nuts" ends, and what it excludes."""
    word, following = tokens[start], [*tokens[start + 1 : start + 2], ""][0]
    if start and (word, following) in _WITHOUT_PAIRS:
        return _things(tokens, start + 2)
    if start and word.startswith("-") and word[1:].isalpha():
        return start + 1, [word[1:]]
    if word.startswith("non-") and word[4:] in _MATERIALS:
        return start + 1, [word[4:]]
    if word == "non" and following in _MATERIALS:
        return start + 2, [following]
    return None


def _things(tokens: list[str], begin: int) -> tuple[int, list[str]]:
    """Return where a list of excluded things ends, and the things."""
    phrases, phrase, end = list[str](), list[str](), begin
    while end < len(tokens) and tokens[end] not in _ENDS and _is_thing(tokens[end], joined=True):
        if tokens[end] in _AND:
            phrases, phrase = [*phrases, " ".join(phrase)], []
        elif len(phrase) == _MAX_WORDS:
            break
        elif tokens[end] not in _SKIPPED:
            phrase.append(tokens[end])
        end += 1
    return end, [phrase for phrase in (*phrases, " ".join(phrase)) if phrase]


def _is_thing(word: str, *, joined: bool = False) -> bool:
    """Return whether a token names something; `joined` allows words such as "and" too."""
    if word in _AND:
        return joined
    return word[:1].isalpha() and not word[-1:].isdigit() and word not in _ENDS


def _han_exclusions(text: str) -> tuple[str, list[Exclusion]]:
    exclusions = [Exclusion(match[0], match["what"]) for match in _HAN_FREE.finditer(text)]

    def remove(match: re.Match[str]) -> str:
        what = match["what"] or match["material"] or match["other"]
        if what in _HAN_IDIOMS or _HAN_NO_THINGS.match(what):
            return match[0]
        exclusions.append(Exclusion(match[0].removesuffix("的"), what))
        return " "

    return " ".join(_HAN_WITHOUT.sub(remove, text).split()), exclusions
