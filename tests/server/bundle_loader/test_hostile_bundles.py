"""Bundles made to take all memory or all time are refused in one line, and cost little of both."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from base.processes import import_environment
from catalog.store import ItemStore
from server.__main__ import main
from server.config import ServerConfig
from tests.server.bundle_loader.admin import Serving, Swapping, copy, refusal, reseal, serve

MIB = 2**20
# Memory that a check of a hostile bundle may take, beyond that of a valid bundle.
MOST_BYTES = 300 * MIB


def change(path: Path, **values: Any) -> None:
    """Change values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_encoder(path: Path, **values: Any) -> None:
    """Change values of the encoder in a model's configuration."""
    change(path, bert=json.loads(path.read_text())["bert"] | values)


def claim_shape(path: Path, shape: str) -> None:
    """Replace the shape in the header of an array by another one, without changing its length."""
    content = path.read_bytes()
    before = content[: content.index(b"'shape': ")]
    header = before + b"'shape': " + shape.encode() + b", }"
    path.write_bytes(header.ljust(127) + b"\n" + content[128:])


def repeat_description(path: Path) -> None:
    """Give five million items the same description of 1,000 characters, in a dictionary."""
    rows = 5_000_000
    codes = pa.array(np.zeros(rows, np.int32))
    text = pa.DictionaryArray.from_arrays(codes, pa.array(["x" * 1_000]))
    names = pa.DictionaryArray.from_arrays(codes, pa.array(["name"]))
    table = pa.table({"item_id": names, "title": names, "description": text})
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < MIB


def compress_description(path: Path) -> None:
    """Give one item a description of 300 MiB, in a page of some kilobytes."""
    table = ItemStore.read(path).table.slice(0, 1)
    text = pa.array(["x" * (300 * MIB)], pa.large_string())
    position = table.schema.get_field_index("description")
    table = table.set_column(position, "description", text)
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)
    assert path.stat().st_size < MIB


def fewer_vectors(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


# Normalizers that make a text 2^40 times longer.
DOUBLING = [{"type": "Replace", "pattern": {"Regex": "."}, "content": "aa"}] * 40

# What is wrong with a bundle: the file that is changed, the change, and a part of the message.
HOSTILE: Mapping[str, tuple[str, Callable[[Path], object], str]] = {
    "a billion layers": (
        "towers/config.json",
        lambda path: change_encoder(path, num_hidden_layers=10**9),
        "num_hidden_layers 1000000000 is not between 1 and 64",
    ),
    "a hundred billion parameters": (
        "rerank/config.json",
        lambda path: change_encoder(
            path, hidden_size=8_192, vocab_size=10**7, intermediate_size=65_536
        ),
        "parameters, and a model may have at most",
    ),
    "a million positions": (
        "towers/config.json",
        lambda path: change_encoder(path, max_position_embeddings=10**6),
        "max_position_embeddings 1000000 is not between",
    ),
    "inputs of 60,000 tokens": (
        "rerank/config.json",
        lambda path: (
            change_encoder(path, max_position_embeddings=60_000),
            change(path, max_tokens=60_000),
        ),
        "max_tokens 60000 must",
    ),
    "a fusion network of any width": (
        "rerank/config.json",
        lambda path: change(path, fusion=10**9),
        "fusion 1000000000 is not between",
    ),
    "a header of 2^62 bytes": (
        "towers/model.safetensors",
        lambda path: path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:]),
        "its header claims 4,611,686,018,427,387,904 bytes",
    ),
    "a tokenizer of 33 MiB": (
        "tokenizer/tokenizer.json",
        lambda path: path.write_bytes(path.read_bytes() + b" " * 33 * MIB),
        "at most 33,554,432 are read",
    ),
    "texts of any length": (
        "tokenizer/tokenizer.json",
        lambda path: change(path, normalizer={"type": "Sequence", "normalizers": DOUBLING}),
        "may make a text more than 1024 times longer",
    ),
    "nested lists": (
        "rerank/features.json",
        lambda path: path.write_bytes(b"[" * 100_000),
        "features.json cannot be read: maximum recursion depth",
    ),
    "an index configuration of 5 MiB": (
        "index/index.json",
        lambda path: path.write_bytes(path.read_bytes() + b" " * 5 * MIB),
        "at most 4,194,304 are read",
    ),
    "a lexical configuration of 5 MiB": (
        "lexical/meta.json",
        lambda path: path.write_bytes(path.read_bytes() + b" " * 5 * MIB),
        "at most 4,194,304 are read",
    ),
    "a million golden queries": (
        "golden.jsonl",
        lambda path: path.write_bytes(b'{"query": "a", "hits": []}\n' * 10**6),
        "at most 1,048,576 are read",
    ),
    "a description of 5 GB": (
        "items.parquet",
        repeat_description,
        "its table decodes to more than",
    ),
    "a page of 300 MiB": (
        "items.parquet",
        compress_description,
        "its table decodes to more than",
    ),
    "vectors of any shape": (
        "index/vectors.npy",
        lambda path: claim_shape(path, "(4611686018427387904, 16)"),
        "its header claims (4611686018427387904, 16) numbers",
    ),
    "queries of any shape": (
        "index/queries.npy",
        lambda path: claim_shape(path, "(10000000, 16)"),
        "its header claims (10000000, 16) numbers",
    ),
    "other queries of any shape": (
        "index/held_out.npy",
        lambda path: claim_shape(path, "(16, 10000000)"),
        "its header claims (16, 10000000) numbers",
    ),
    "fewer vectors than items": ("index/vectors.npy", fewer_vectors, "has 47 vectors for 48 items"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """A directory of the hostile bundles, and of the tiny bundle under the name "one"."""
    directory = tmp_path_factory.mktemp("bundles")
    copy(tiny_bundle, directory / "one")
    for name, (file, make_hostile, _) in HOSTILE.items():
        shutil.copytree(tiny_bundle, directory / name)
        make_hostile(directory / name / file)
        reseal(directory / name)
    return directory


@pytest.fixture(scope="module")
def swapping(config: ServerConfig, root: Path, serving: Serving) -> Iterator[Swapping]:
    with serve(config, root / "one", serving) as swapping:
        yield swapping


@pytest.mark.parametrize("name", HOSTILE)
def test_a_server_refuses_a_hostile_bundle_and_serves_on(
    swapping: Swapping, root: Path, name: str
) -> None:
    serves = swapping.client.search("cable").bundle_id
    error = refusal(lambda: swapping.admin.load(name))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "BUNDLE_REFUSED")
    assert HOSTILE[name][2] in error.message
    assert "\n" not in error.message
    assert swapping.admin.status().last_failure.reason == error.message
    assert swapping.client.search("cable").bundle_id == serves


@pytest.mark.parametrize(
    ("name", "quick"),
    [
        *((name, ()) for name in HOSTILE),
        # A quick check does not read the golden queries.
        *((name, ("--quick",)) for name in HOSTILE if "golden" not in name),
    ],
)
def test_a_check_of_a_hostile_bundle_gives_one_line(
    root: Path, name: str, quick: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--bundle", str(root / name), *quick]) == 2
    said, complaint = capsys.readouterr()
    assert said == ""
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert HOSTILE[name][2] in complaint


def checked(directory: Path) -> tuple[int, str, int]:
    """Check a bundle in a process; return the exit code, the error and the peak memory in bytes."""
    code = (
        "import sys; from base.memory import peak_bytes; from server.__main__ import main;"
        "code = main(['check', '--quick', '--bundle', sys.argv[1]]);"
        "print(peak_bytes()); sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(directory)],
        env=import_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr, int(ended.stdout.splitlines()[-1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.slow
def test_tables_that_decode_to_gigabytes_take_little_memory(root: Path) -> None:
    code, error, valid_peak = checked(root / "one")
    assert (code, error) == (0, "")
    for name in ("a description of 5 GB", "a page of 300 MiB"):
        code, error, peak = checked(root / name)
        assert (code, error.count("\n")) == (2, 1)
        assert peak < valid_peak + MOST_BYTES
