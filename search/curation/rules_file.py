"""`rules.jsonl` of a dataset and of a bundle: rules by query, one JSON object a line.

A line is `{"id": "sofas", "queries": ["sofa"], "rules": {"pins": [{"item_id": "s1", "position":
1}]}}`. The rules have the names of the contract.
"""

import json
from pathlib import Path

from base.errors import InputError, RequestError
from search.curation.curation import Curation
from search.curation.json_form import query_rules
from search.curation.json_values import fields_of, typed
from search.understanding.synonyms import read_text

RULES_FILE = "rules.jsonl"


def parse_rules(text: str, name: str = RULES_FILE) -> tuple[Curation, ...]:
    """Read rules by query.

    Args:
        text: The content of the file.
        name: The name of the file, for errors.

    Raises:
        InputError: a line has no valid rules, or an id or a query of an earlier line; the message
            names the file and the line.
    """
    curations: list[Curation] = []
    lines: dict[str, int] = {}  # the line of each id and each query
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            curation = _curation(line)
            for key in (f"id {curation.curation_id!r}", *_named(curation)):
                if (earlier := lines.setdefault(key, number)) != number:
                    raise RequestError(key, f"is in line {earlier} too; give it once")
        except RequestError as error:
            field = error.field.removeprefix("query_rules.").replace("curation_id", "id")
            raise InputError(f"{name}, line {number}: {field}: {error.problem}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}, line {number}: is not JSON ({error})") from None
        curations.append(curation)
    return tuple(curations)


def read_rules(directory: Path) -> tuple[Curation, ...]:
    """Read the file of rules in a directory; without a file there are no rules.

    Raises:
        InputError: the file is no UTF-8 text, is too large, or has a line without valid rules.
    """
    path = directory / RULES_FILE
    return parse_rules(read_text(path), str(path)) if path.is_file() else ()


def _curation(line: str) -> Curation:
    fields = fields_of(json.loads(line), "", ("id", "queries", "rules"))
    content = query_rules({name: fields[name] for name in ("queries", "rules")}, "query_rules")
    return Curation(typed(fields["id"], str, "id"), content)


def _named(curation: Curation) -> list[str]:
    return [f"query {text!r}" for text in getattr(curation.content, "texts", ())]
