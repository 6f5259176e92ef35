"""All languages: stems by language, Chinese, Japanese and Korean by characters, sizes and codes.

A word is read by its script, and a word of Latin letters by the language of the text. Every
spelling of a size or code gives the same terms: the whole, and its parts.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache, partial
from typing import TypeAlias

from catalog.text_forms import compose
from lexical.analysers import cjk
from lexical.analysers.base import Analyser, QueryWord, Words
from lexical.analysers.compounds import split
from lexical.analysers.languages import LANGUAGES, OTHER_SCRIPTS, stems
from lexical.analysers.numbers import AMBIGUOUS, DIMENSIONS, SIZE, canonical_numbers, size_terms

_MAX_TERM_BYTES = 100
_LONGEST_CODE = 60  # maximum number of characters of a code
_CACHED = 1 << 17  # maximum number of words whose terms are cached

_ACCENTS = re.compile("[\u0300-\u036f]")  # accents without a character that contains them
_POSSESSIVE = re.compile(r"(?<=[^\W\d_])['’]s\b")
_CYRILLIC = re.compile("[\u0400-\u052f]")
_LETTERS = r"[^\W_]+"
_TOKEN = re.compile(
    rf"(?P<size>{DIMENSIONS}|{SIZE})"
    rf"|(?P<cjk>{cjk.RUN.pattern})"
    r"|(?P<number>(?<!\w)\d+(?:[.⁄]\d+)+)"
    # Parts that are joined by hyphens, dots or slashes, as in a code.
    rf"|(?P<joined>(?<![\w./-]){_LETTERS}(?:[-./]{_LETTERS})+)"
    rf"|(?P<word>{_LETTERS})"
)
_SIZE = re.compile(SIZE)
_SIGNS = re.compile(r"[-./]")

# A token, whether it is a word to stem, and the term of the size of which it is a part.
_Token: TypeAlias = tuple[str, bool, str]


class MultilingualReader:
    """Reads texts of all scripts, with the rules of `LANGUAGES`; see `Reader`."""

    def __init__(self, default_language: str, words: Words) -> None:
        """Set the rules.

        Args:
            default_language: The language of Latin letters in texts without a language.
            words: Words of the catalogue by language, of which compounds consist.
        """
        self._default_language = default_language
        self._words = words
        self._read = lru_cache(_CACHED)(partial(_word_terms, words))

    def language(self, language: str) -> str:
        """Return the language of Latin letters in a text of `language` ("": not known)."""
        return self._default_language if language in OTHER_SCRIPTS else language

    def terms(self, text: str, language: str) -> list[str]:
        """Return the terms of an item's text, in order; a term may occur several times."""
        latin = self.language(language)
        terms: list[str] = []
        for token, is_word, _ in _tokens(text, latin):
            if is_word:
                whole, parts = self._read(token, latin)
                terms += whole + parts
            else:
                terms.append(token)
        return terms

    def surface_words(self, text: str, language: str) -> list[str]:
        """Return the words of an item's text that are stemmed, before they are."""
        return [token for token, is_word, _ in _tokens(text, self.language(language)) if is_word]

    def query_words(self, text: str, languages: Collection[str]) -> list[QueryWord]:
        """Return the words of a query, each read in all `languages`."""
        words: list[QueryWord] = []
        for token, is_word, part_of in dict.fromkeys(self._query_tokens(text, languages)):
            if not is_word:
                weight = cjk.query_weight(token)
                words.append(QueryWord(token, (token,), weight, is_word=False, part_of=part_of))
            else:
                read = [self._read(token, language) for language in languages]
                wholes = dict.fromkeys(term for whole, _ in read for term in whole)
                parts = dict.fromkeys(term for _, of_parts in read for term in of_parts)
                words.append(QueryWord(token, tuple(wholes)))
                compound = next(iter(wholes), "")
                words[-1:-1] = [
                    QueryWord(term, (term,), is_word=False, part_of=compound) for term in parts
                ]
        return words

    def _query_tokens(self, text: str, languages: Collection[str]) -> Iterator[_Token]:
        """Yield the tokens of a query; numbers in all forms that the languages give them."""
        conventions = {
            language in LANGUAGES and LANGUAGES[language].decimal_comma: language
            for language in languages
        }
        several = len(conventions) > 1 and AMBIGUOUS.search(text)
        for language in conventions.values() if several else list(languages)[:1]:
            yield from _tokens(text, language)


ANALYSER = Analyser(
    "multilingual", "shortlist_multilingual_1", MultilingualReader, by_language=True
)


def _tokens(text: str, language: str) -> Iterator[_Token]:
    """Yield the tokens of a text."""
    text = _fold(text)
    if any(map(str.isdigit, text)):
        comma = language in LANGUAGES and LANGUAGES[language].decimal_comma
        text = canonical_numbers(text, decimal_comma=comma)
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "word":
            yield token[0], True, ""
        elif kind == "cjk":
            yield from ((term, False, "") for term in cjk.run_terms(token[0]))
        elif kind == "size":
            yield from ((term, False, whole) for term, whole in size_terms(token[0]))
        elif kind == "number":
            yield token[0], False, ""
        else:
            yield from _code_tokens(token[0])


def _code_tokens(joined: str) -> Iterator[_Token]:
    """Yield a code (letters and digits) as one word, and its parts."""
    whole = _SIGNS.sub("", joined)
    is_code = len(whole) <= _LONGEST_CODE and not whole.isdigit() and not whole.isalpha()
    if is_code:
        yield whole, True, ""
    for part in _SIGNS.split(joined):
        if _SIZE.fullmatch(part):
            yield from ((term, False, of_whole) for term, of_whole in size_terms(part))
        else:
            yield part, True, ""


def _fold(text: str) -> str:
    """Return a text with one form for each way to type a character, in lower case."""
    if text.isascii():
        text = text.lower()
    else:
        text = compose(compose(text).casefold()).encode("utf-8", "ignore").decode("utf-8")
        text = _ACCENTS.sub("", text)
        if cjk.RUN.search(text):
            text = cjk.RUN.sub(r" \g<0> ", cjk.fold(text))
    return _POSSESSIVE.sub("", text) if "'" in text or "’" in text else text


def _word_terms(words: Words, word: str, language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the terms of a word, and the terms of its parts if it is a compound."""
    if len(word) * 4 > _MAX_TERM_BYTES and len(word.encode()) > _MAX_TERM_BYTES:
        return (), ()
    if _CYRILLIC.match(word):
        return stems(word, "ru"), ()
    parts = split(word, words[language]) if language in words else []
    return stems(word, language), tuple(term for part in parts for term in stems(part, language))
