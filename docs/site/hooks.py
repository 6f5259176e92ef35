"""MkDocs hooks: generate reference pages, rewrite links to the repository, draw diagrams."""

import os
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import protos

ROOT = Path(__file__).resolve().parents[2]
# Directories of the packages in the Python reference, by page name, in the order of the pages.
PACKAGES = {
    "shortlist": "protos/shortlist",
    "base": "base",
    "catalog": "catalog",
    "behaviour": "behaviour",
    "lexical": "lexical",
    "bert": "bert",
    "towers": "towers",
    "rerank": "rerank",
    "search": "search",
    "live": "live",
    "server": "server",
    "train": "train",
    "commands": "commands",
}
MERMAID = "mermaid.min.js"
SCRIPTS = (MERMAID, "iframe-worker.js")

_LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)\s]*)\)")
_REMOTE = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?(https?:)?//[^>]*>|"""
    r"""url\(["']?(?:https?:)?//|@import\s+["'](?:https?:)?//"""
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated pages to the navigation."""
    contract = [{name: f"reference/protos/{name}.md"} for name in protos.pages()]
    python = [{name: f"reference/python/{name}.md"} for name in PACKAGES]
    config.nav = [*(config.nav or []), {"Contract": contract}, {"Python API": python}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated reference pages and the JavaScript files to the site."""
    for name, text in protos.pages().items():
        files.append(File.generated(config, f"reference/protos/{name}.md", content=text))
    for name, directory in PACKAGES.items():
        text = f"# {name}\n\n" + "\n".join(f"::: {module}\n" for module in _modules(directory))
        files.append(File.generated(config, f"reference/python/{name}.md", content=text))
    scripts = Path(os.environ.get("DOCS_SCRIPTS", "missing"))
    for name in SCRIPTS:
        if not (scripts / name).is_file():
            raise PluginError(f"DOCS_SCRIPTS has no {name}: build the site with `make docs`")
        content = (scripts / name).read_bytes()
        files.append(File.generated(config, f"assets/{name}", content=content))
    return files


def _modules(directory: str) -> Iterator[str]:
    """Yield the full names of a package's modules, without generated ones."""
    for path in sorted((ROOT / directory).rglob("*.py")):
        if "_pb2" in path.name or path.name == "__main__.py" or not path.stat().st_size:
            continue
        parts = path.relative_to((ROOT / directory).parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__")


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Replace links to files outside docs/ by links to the reference, or by the files' paths."""
    page_directory = posixpath.dirname(page.file.src_uri)

    def replace(match: re.Match[str]) -> str:
        text, target = match.groups()
        path = posixpath.normpath(posixpath.join("docs", page_directory, target.partition("#")[0]))
        if path.startswith("docs/"):
            return match[0]
        if path.startswith("protos/shortlist/v1"):
            name = "search_service" if path.endswith("v1") else Path(path).stem
            reference = posixpath.relpath(f"reference/protos/{name}.md", page_directory or ".")
            return f"[{text}]({reference})"
        if not (ROOT / path).exists():
            raise PluginError(f"{page.file.src_uri}: no file {path}")
        return text if path in text else f"{text} (`{path}`)"

    return _LINK.sub(replace, markdown)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Load Mermaid from the site on pages with a diagram; otherwise the theme would use a CDN."""
    if '<pre class="mermaid">' not in output:
        return output
    source = posixpath.relpath(f"assets/{MERMAID}", posixpath.dirname(page.file.dest_uri) or ".")
    return output.replace("</head>", f'<script src="{source}"></script></head>', 1)


def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    """Fail if a page or a style sheet loads anything from another host."""
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix in (".html", ".css") and (match := _REMOTE.search(path.read_text("utf-8"))):
            raise PluginError(f"{path} loads from another host: {match[0][:200]}")
