"""Small pieces of HTML. All texts are escaped."""

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1f2328; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: 0.25rem 0.8rem 0.25rem 0; border-bottom: 1px solid #d0d7de;
  vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.better { color: #1a7f37; } .worse { color: #cf222e; }
svg { margin-right: 1rem; } svg text { font-size: 11px; fill: #57606a; }
svg .title { font-size: 13px; fill: #1f2328; } svg .grid { stroke: #d8dee4; }
svg polyline { fill: none; stroke: #0969da; stroke-width: 2; } svg circle { fill: #0969da; }
"""


def document(title: str, sections: Iterable[str]) -> str:
    """Return a page that needs no other file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Return a section with a heading; "" without any part."""
    content = "\n".join(filter(None, parts))
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>" if content else ""


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """Return a list; "" without texts."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """Return a table; "" without rows. Numbers and texts like "+0.1 [0.0, 0.2]" align right."""
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><tr>{heads}</tr>\n{lines}</table>" if lines else ""


def _cell(value: str | int) -> str:
    if isinstance(value, str):
        kind = f' class="{value}"' if value in ("better", "worse") else ""
        if value[:1] in "+-0123456789" and value[1:2] in ".0123456789":
            kind = ' class="number"'
        return f"<td{kind}>{escape(value)}</td>"
    return f'<td class="number">{value:,}</td>'
