"""Past queries, from which suggestions are built."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from base.untrusted import limits
from base.untrusted.parquet import read_table

_FILE = "queries.parquet"
_SCHEMA = pa.schema([("query", pa.string()), ("count", pa.int64())])


@dataclass(frozen=True)
class PastQueries:
    """Queries that shoppers sent, each with its number of times.

    Attributes:
        texts: The queries, each once.
        counts: How often each query was sent, at least 1.
    """

    texts: Sequence[str] = ()
    counts: Sequence[int] = ()

    def write(self, directory: Path) -> None:
        """Write the queries to a file in the directory of the suggestions."""
        table = pa.table([list(self.texts), list(self.counts)], schema=_SCHEMA)
        pq.write_table(table, directory / _FILE, compression="zstd")

    @classmethod
    def read(cls, directory: Path) -> "PastQueries":
        """Read the queries from the directory of the suggestions.

        Raises:
            InputError: the file cannot be read, or is too large when decoded.
        """
        file = directory / _FILE
        most = limits.TABLE_BYTES + limits.TABLE_RATIO * file.stat().st_size
        table = read_table(file, most).cast(_SCHEMA)
        return cls(table["query"].to_pylist(), table["count"].to_pylist())
