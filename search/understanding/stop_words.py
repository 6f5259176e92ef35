"""Stop words by language: words that say nothing about the wanted item."""

import itertools
import re
from collections.abc import Mapping

from search.understanding.phrases import word_set

STOP_WORDS: Mapping[str, frozenset[str]] = {
    "de": word_set(
        """der die das den dem des ein eine einen einem einer und oder mit für von zu zum zur im am
        auf aus bei als"""
    ),
    "en": word_set(
        "a an the and or of for to with in on at by from is are be my your i me that this it"
    ),
    "es": word_set("el la los las un una unos unas y o de del para por con en a al que mi"),
    "fr": word_set("le la les l un une des du de d et ou pour avec en dans sur au aux à mon ma"),
    "it": word_set("il lo la i gli le un uno una e o di del della da per con in su al"),
    "nl": word_set("de het een en of van voor met in op aan bij uit te mijn"),
    "pt": word_set("o a os as um uma e ou de do da dos das para por com em no na"),
    "ru": word_set("и или в во на с со для от до из по к за"),
}
FUNCTION_WORDS = frozenset[str]().union(*STOP_WORDS.values())
_UNIT = re.compile(r"\d\S*$")


def stop_words_in(text: str, language: str) -> tuple[str, ...]:
    """Return the stop words in a normalised text; none if no other word remains.

    A stop word after a number is a unit, such as "in" (inch) or "a" (ampere), and does not count.

    Args:
        text: The normalised text.
        language: The primary tag of the language.
    """
    stop_words = STOP_WORDS.get(language, frozenset())
    words = text.split()
    units = {word for before, word in itertools.pairwise(words) if _UNIT.search(before)}
    found = tuple(dict.fromkeys(w for w in words if w in stop_words and w not in units))
    return found if len(set(words) - set(found)) else ()
