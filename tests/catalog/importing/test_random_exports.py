"""Property: whatever the cells are, an import succeeds or raises InputError."""

import contextlib
import csv
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from base.errors import InputError
from catalog.dataset.reading import read_dataset
from catalog.importing.formats import FORMATS
from catalog.importing.importer import import_exports

ROLES = [
    (known, role, keys)
    for known in FORMATS
    for role, sets in known.files.items()
    for keys in sets[:1]
]
CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "1,5 €", "1.234,5", "1e400", "<p>&lt;", "<![", "a=b,c=d|e", "true", "2024-02-30", "0"]
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | CELLS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(CELLS, inside, max_size=3),
    max_leaves=6,
)


def imported(name, content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        out = Path(folder) / "dataset"
        with contextlib.suppress(InputError):
            import_exports([path], out, max_bad_share=1.0)
        assert not out.exists() or len(read_dataset(out).items) > 0


def names(known, keys):
    return sorted(keys) + sorted(known.sources - keys)[:12]


@pytest.mark.parametrize(("known", "role", "keys"), ROLES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_cells_of_a_csv(known, role, keys, data):
    header = [name for name in names(known, keys) if "." not in name]
    row = st.lists(CELLS, min_size=len(header), max_size=len(header))
    text = io.StringIO()
    csv.writer(text).writerows([header, *data.draw(st.lists(row, min_size=1, max_size=4))])
    imported("export.csv", text.getvalue().encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(("known", "role", "keys"), ROLES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_json_values(known, role, keys, data):
    header = [name.split(".")[0] for name in names(known, keys)]
    record = st.fixed_dictionaries(dict.fromkeys(header, VALUES))
    records = data.draw(st.lists(record, min_size=1, max_size=4))
    imported("export.jsonl", "\n".join(map(json.dumps, records)).encode())


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_random_bytes(content):
    imported("export", content)
