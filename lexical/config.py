"""The configuration of a lexical index, stored beside the index."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from base.atomic_files import write_text
from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes
from catalog.item_text import TEXT_FIELDS
from lexical.analysers import ANALYSERS

CONFIG_FILE = "config.json"
_LANGUAGE = re.compile("[a-z]{2,3}")
_REBUILD = "build it again with `shortlist train index`"

# The weights of old indexes, which have no config file. So these weights must not change. To change
# the default weights, change the default of `LexicalConfig.field_weights`.
_FIRST_WEIGHTS = {
    "title": 1.0,  # the other weights are relative to this weight
    "brand": 0.5,  # mostly repeats a word of the title
    "category": 0.5,  # names the kind of product, even if the title does not
    "attributes": 0.3,  # many values, few of them relevant to a query
    "description": 0.3,  # long, and mentions other products
}


@dataclass(frozen=True)
class LexicalConfig:
    """How the lexical index is built."""

    analyser: str = "multilingual"  # turns texts into terms; a name in `lexical.analysers`
    # language of Latin letters in items that name no language; two or three lower-case letters
    default_language: str = "en"
    # weight of each item field in the score; 0 leaves the field out of the index
    field_weights: Mapping[str, float] = field(default_factory=_FIRST_WEIGHTS.copy)

    def __post_init__(self) -> None:
        """Check the analyser, the language and the weights.

        Raises:
            InputError: the analyser or a field is unknown, the language is malformed, or a weight
                is not a number of at least 0, or every weight is 0.
        """
        if self.analyser not in ANALYSERS:
            raise InputError(
                f"lexical: analyser {self.analyser!r} is unknown; use {', '.join(ANALYSERS)}"
            )
        if not _LANGUAGE.fullmatch(self.default_language):
            raise InputError(
                f"lexical: default language {self.default_language!r}: give two or three "
                "lower-case letters, such as en"
            )
        for name, weight in self.field_weights.items():
            if name not in TEXT_FIELDS:
                raise InputError(
                    f"lexical: field {name!r} is unknown; use {', '.join(TEXT_FIELDS)}"
                )
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(
                    f"lexical: the weight of {name} is {weight}; give a number of at least 0"
                )
        if not self.indexed:
            raise InputError("lexical: no field has a weight above 0")

    @property
    def indexed(self) -> dict[str, float]:
        """The weights above 0, by field; only these fields are in the index."""
        return {name: weight for name, weight in self.field_weights.items() if weight > 0}

    @classmethod
    def read(cls, directory: Path) -> "LexicalConfig":
        """Read the configuration of the index in `directory`.

        An old index has no config file; its configuration is the English analyser and
        `_FIRST_WEIGHTS`.

        Raises:
            InputError: the file is malformed, or names an unknown analyser or field.
        """
        path = directory / CONFIG_FILE
        if not path.exists():
            return cls("english", field_weights=_FIRST_WEIGHTS.copy())
        try:
            values = dict(json.loads(read_bytes(path, limits.JSON_BYTES)))
            analyser, weights = values.pop("analyser"), values.pop("field_weights")
            return cls(analyser, field_weights=weights, **values)
        except InputError as error:
            raise InputError(f"{path}: {error}; or {_REBUILD}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path}: the lexical index's configuration is malformed ({error!r}); {_REBUILD}"
            ) from error

    def write(self, directory: Path) -> None:
        """Write the configuration beside the index."""
        write_text(directory / CONFIG_FILE, json.dumps(asdict(self), indent=1) + "\n")
