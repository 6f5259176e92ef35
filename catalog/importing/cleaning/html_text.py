"""Plain text from HTML and from text with invisible characters."""

import re
from html.parser import HTMLParser

from catalog.dataset.validation import MARKUP

_ROUNDS = 3  # some exports encode HTML twice: `&amp;lt;p&amp;gt;` is `<p>`
# Elements whose content no reader sees.
_HIDDEN = frozenset(("script", "style", "noscript", "template", "svg", "iframe", "head", "title"))
# Elements that do not separate words.
_INLINE = frozenset(
    (
        *("a", "abbr", "b", "bdi", "big", "cite", "code", "em", "font", "i", "ins", "kbd", "mark"),
        *("s", "small", "span", "strong", "sub", "sup", "tt", "u", "wbr"),
    )
)
_MARKUP = re.compile(MARKUP + r"|<!--|<!\[CDATA\[", re.IGNORECASE)
_OPEN = re.compile(r"<(?=[^<>]*(?:<|\Z))")  # a `<` without a `>` before the next `<`
# Zero-width characters, the byte order mark, and control characters except white space.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff\u00ad]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _TextParser(HTMLParser):
    """Collects the visible text of HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: str | None = None  # the element that hides the text now
        self._depth = 0  # nested elements of the same name

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if self._hidden is None and tag in _HIDDEN:
            self._hidden = tag
        self._depth += tag == self._hidden
        self._separate(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._depth -= 1
            if not self._depth:
                self._hidden = None
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden is None:
            self.parts.append(data)

    def _separate(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append(" ")


def plain_text(text: str) -> str:
    """Return a text without HTML and invisible characters, in one line.

    Scripts, styles and comments are dropped, and block elements separate words. A text without a
    known tag and without a character reference is no HTML: `<` and `&` stay in it.
    """
    for _ in range(_ROUNDS):
        if _MARKUP.search(text) is None:
            break
        text = _without_tags(text)
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
    return " ".join(_INVISIBLE.sub("", text).split())


def _without_tags(html: str) -> str:
    parser = _TextParser()
    # The parser raises AssertionError for an unknown word after `<![`. For many tags without an end
    # it needs quadratic time. So it gets neither of them.
    marked = html.replace("<![CDATA[", "").replace("]]>", " ").replace("<![", " ")
    parser.feed(_OPEN.sub("&lt;", _without_comments(marked)))
    parser.close()
    return "".join(parser.parts)


def _without_comments(html: str) -> str:
    first, *others = html.split("<!--")
    ends = (part.partition("-->") for part in others)
    return "".join([first, *(rest if end else start for start, end, rest in ends)])
