"""ESCI has no split `dev`, so its import makes one."""

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.dataset.reading import split_of
from catalog.importing.importer import import_exports
from tests.catalog.importing.imports import table


def test_a_tenth_of_the_training_queries_becomes_dev(tmp_path):
    queries = [f"query {n}" for n in range(40)]
    examples = {
        "query": [*queries, "bulb"],
        "query_id": range(41),
        "product_id": ["B01"] * 41,
        "product_locale": ["us"] * 41,
        "esci_label": ["E"] * 41,
        "split": ["train"] * 40 + ["test"],
    }
    products = {"product_id": ["B01"], "product_title": ["Bulb"], "product_locale": ["us"]}
    exports = []
    for name, content in (("examples", examples), ("products", products)):
        exports.append(tmp_path / f"shopping_queries_dataset_{name}.parquet")
        pq.write_table(pa.table(content), exports[-1])
    import_exports(exports, tmp_path / "dataset")
    expected = ["dev" if split_of(query) == "dev" else "train" for query in queries]
    assert "dev" in expected
    assert [j["split"] for j in table(tmp_path, "judgments")] == [*expected, "test"]
