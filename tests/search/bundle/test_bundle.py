"""The manifest and the files of a bundle: damage is refused, and directories are written whole."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from search.bundle import BundleError, Manifest, list_files, verify, write_directory
from search.bundle.calibration import Calibration, LogisticModel, StageModel
from search.engine import Engine
from search.request import SearchRequest


@pytest.fixture
def small(tmp_path) -> Path:
    """A bundle whose files match its manifest, although no engine can open them."""
    directory = tmp_path / "bundle"
    (directory / "index").mkdir(parents=True)
    (directory / "items.parquet").write_bytes(b"items")
    (directory / "index" / "vectors.npy").write_bytes(b"vectors")
    manifest = Manifest("", "2024-01-31T09:30:00Z", None, "float32", {}, {}, {}, {})
    manifest.with_files(list_files(directory)).write(directory)
    return directory


def refusal(directory: Path) -> str:
    with pytest.raises(BundleError) as caught:
        verify(directory)
    assert str(directory) in str(caught.value)
    return str(caught.value)


def overwrite(path: Path, content: bytes) -> None:
    """Overwrite a file without truncating it first: some file systems flush truncated files."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def edit_manifest(directory: Path, **changes) -> None:
    """Change fields of a manifest, and update the digest in the manifest."""
    path = directory / "manifest.json"
    values = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"} | changes
    content = json.dumps(values)[1:].encode()
    digest = hashlib.sha256(content).hexdigest()
    path.write_bytes(b'{\n "sha256": "' + digest.encode() + b'",\n' + content)


def unseal(directory: Path, **changes) -> None:
    """Change a manifest to format 1, which has no digest."""
    path = directory / "manifest.json"
    values = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    path.write_text(json.dumps(values | {"format_version": 1} | changes, indent=1) + "\n")


def test_a_valid_bundle_matches_its_manifest(small):
    manifest = verify(small)
    assert set(manifest.files) == {"items.parquet", "index/vectors.npy"}
    sha256 = hashlib.sha256(b"items").hexdigest()
    assert manifest.files["items.parquet"] == {"size": 5, "sha256": sha256}
    assert manifest.bundle_id == manifest.identity()
    assert Manifest.read(small) == manifest


def test_an_altered_file_is_refused_by_name(small):
    (small / "items.parquet").write_bytes(b"Items")
    assert "items.parquet was altered" in refusal(small)


def test_a_file_of_another_size_is_refused_by_name(small):
    (small / "index" / "vectors.npy").write_bytes(b"vector")
    assert "index/vectors.npy has 6 bytes, not 7" in refusal(small)


def test_all_problems_are_listed_at_once(small):
    (small / "items.parquet").unlink()
    (small / "index" / "scann_docids.pkl").write_bytes(b"cos\nsystem\n")
    (small / ".hidden").write_bytes(b"")
    message = refusal(small)
    assert "items.parquet is missing" in message
    assert "index/scann_docids.pkl is not listed" in message
    assert ".hidden is not listed" in message


def test_a_message_lists_the_first_ten_problems(small):
    for number in range(30):
        (small / f"extra-{number}").touch()
    message = refusal(small)
    assert message.count(" is not listed in the manifest; ") == 10
    assert message.endswith("; …")


def test_directories_of_any_depth_are_read(small):
    deepest = small
    for _ in range(1_500):  # more levels than Python's calls
        deepest = deepest / "d"
        deepest.mkdir()
    verify(small)
    (deepest / "extra").touch()
    assert "/d/extra is not listed in the manifest" in refusal(small)
    (deepest / "extra").unlink()
    os.removedirs(deepest)  # pytest cannot remove so many levels


@pytest.mark.parametrize("place", ["items.parquet", "extra", "index"])
def test_links_are_refused_even_to_the_right_content(small, tmp_path, place):
    target = tmp_path / "elsewhere"
    if (small / place).exists():
        (small / place).rename(target)
    else:
        target.mkdir()
    (small / place).symlink_to(target)
    message = refusal(small)
    assert f"{place} is not a regular file" in message or f"{place} is not listed" in message


def test_a_directory_without_a_manifest_is_no_bundle(small, tmp_path):
    (small / "manifest.json").unlink()
    assert "has no manifest.json" in refusal(small)
    assert "is not a directory" in refusal(tmp_path / "nowhere")
    assert "is not a directory" in refusal(small / "items.parquet")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"3", b'"text"', b"null", b"{}", b"\xff\xfe", None]
)
def test_a_damaged_manifest_is_refused(small, content):
    path = small / "manifest.json"
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    assert "manifest.json cannot be read" in refusal(small)


def test_a_manifest_of_another_version_is_refused_with_what_to_do(small):
    edit_manifest(small, format_version=3)
    assert "format version 3, this program reads 2; build the bundle again" in refusal(small)


def test_a_manifest_with_other_fields_is_refused(small):
    edit_manifest(small, colour="red")
    assert "is not a valid manifest" in refusal(small)


@pytest.mark.parametrize(
    "changes",
    [
        {"numerics": "int8"},
        {"numerics": "bfloat16"},  # the bundle id does not match it
        {"as_of": "yesterday"},
        {"created": "yesterday"},
        {"as_of": "2024-01-31"},
        {"files": []},
        {"files": {"items.parquet": {}}},
        {"files": {"items.parquet": 5}},
        {"reports": None},
        {"bundle_id": "0123456789abcdef"},
    ],
)
def test_a_manifest_with_an_altered_field_is_refused(small, changes):
    edit_manifest(small, **changes)
    assert "is not a valid manifest" in refusal(small)


def test_a_manifest_begins_with_the_digest_of_what_follows(small):
    begin, digest, rest = (small / "manifest.json").read_bytes().split(b'"', 4)[2:5]
    assert begin == b": "
    assert hashlib.sha256(rest.removeprefix(b",\n")).hexdigest().encode() == digest


def test_an_edited_manifest_is_refused(small):
    path = small / "manifest.json"
    path.write_text(path.read_text().replace("2024-01-31", "2024-01-30"))
    assert "manifest.json was altered" in refusal(small)


def test_a_manifest_without_a_digest_is_read_and_gets_one_when_written(small):
    unseal(small, metrics={"ndcg@10": 0.25})
    before = verify(small)
    before.with_metrics({"ndcg@10": 0.5}).write(small)
    values = json.loads((small / "manifest.json").read_text())
    assert (values["format_version"], len(values["sha256"])) == (2, 64)
    assert verify(small).metrics == {"ndcg@10": 0.5}
    unseal(small, sha256=values["sha256"])
    assert "manifest.json was altered" in refusal(small)


def test_every_flipped_bit_and_every_cut_of_a_manifest_is_refused(small):
    verify(small).with_metrics({"größe": 0.5, "a": [None, True, 1e-7]}).write(small)
    path = small / "manifest.json"
    valid = path.read_bytes()
    for place in range(len(valid)):
        for bit in range(8):
            flipped = bytearray(valid)
            flipped[place] ^= 1 << bit
            overwrite(path, flipped)
            with pytest.raises(BundleError):
                verify(small)
        overwrite(path, valid[:place])
        with pytest.raises(BundleError):
            verify(small)
    overwrite(path, valid)
    verify(small)


def damages(directory: Path, count: int, seed: int):
    """Yield (path, damaged content): all files in turn, with a random bit flip or cut."""
    random = np.random.default_rng(seed)
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for number in range(count):
        path = files[number % len(files)]
        content = bytearray(path.read_bytes())
        place = int(random.integers(len(content)))
        if random.random() < 0.7:
            content[place] ^= 1 << int(random.integers(8))
            yield path, bytes(content)
        else:
            yield path, bytes(content[:place])


def test_500_flipped_bits_and_cuts_over_all_files_of_a_bundle_are_refused(tiny_bundle, tmp_path):
    directory = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, directory)
    verify(directory)
    damaged = set()
    for path, content in damages(directory, 500, seed=1):
        valid = path.read_bytes()
        overwrite(path, content)
        with pytest.raises(BundleError) as caught:
            verify(directory)
        assert path.name in str(caught.value)
        overwrite(path, valid)
        damaged.add(str(path.relative_to(directory)))
    assert damaged == {"manifest.json", *verify(directory).files}


def test_a_manifest_that_was_altered_to_fit_altered_files_is_refused(small):
    (small / "items.parquet").write_bytes(b"other")
    edit_manifest(small, files=list_files(small))
    assert "bundle_id does not fit the files and settings" in refusal(small)


def test_metrics_are_added_without_touching_what_is_verified(small):
    before = verify(small)
    before.with_metrics({"ndcg@10": 0.5}).write(small)
    after = verify(small)
    assert after.metrics == {"ndcg@10": 0.5}
    assert after.bundle_id == before.bundle_id
    assert {path.name for path in small.iterdir()} == {"manifest.json", "items.parquet", "index"}


def test_a_half_written_manifest_leaves_the_bundle_valid(small):
    before = verify(small)
    (small / ".manifest.json.0123").write_text("{")
    assert verify(small) == before
    assert list_files(small) == before.files
    (small / "index" / ".manifest.json.0123").write_text("{")
    assert "index/.manifest.json.0123 is not listed" in refusal(small)


def test_a_directory_is_written_atomically(tmp_path):
    target = tmp_path / "deep" / "target"

    def fail(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_directory(target, fail)
    assert list(target.parent.iterdir()) == []
    write_directory(target, lambda new: (new / "a").touch())
    with pytest.raises(RuntimeError, match="no more"):
        write_directory(target, fail)
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert [path.name for path in target.iterdir()] == ["a"]


def test_a_directory_is_replaced_and_leftovers_of_a_killed_run_are_removed(tmp_path):
    target = tmp_path / "target"
    write_directory(target, lambda new: (new / "old").touch())
    (tmp_path / ".target.new").mkdir()
    (tmp_path / ".target.new" / "half").write_text("half")
    write_directory(target, lambda new: (new / "new").touch())
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_run_killed_between_the_two_renames_loses_nothing(tmp_path):
    target = tmp_path / "target"
    write_directory(target, lambda new: (new / "old").touch())
    target.rename(tmp_path / ".target.old")

    def fails(directory: Path) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_directory(target, fails)
    assert [path.name for path in target.iterdir()] == ["old"]


def test_loading_changes_no_file_of_a_bundle(tiny_bundle, engine):
    engine.search(SearchRequest("cable"))
    verify(tiny_bundle)


def test_a_pipe_in_place_of_a_file_is_refused_without_reading_it(small):
    (small / "items.parquet").unlink()
    os.mkfifo(small / "items.parquet")
    assert "items.parquet is not a regular file" in refusal(small)


def test_a_pipe_or_a_huge_file_in_place_of_the_manifest_is_refused(small):
    path = small / "manifest.json"
    path.unlink()
    os.mkfifo(path)
    assert "it is not a regular file" in refusal(small)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file of one TiB
    assert "and at most 4,194,304 are read" in refusal(small)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_a_file_that_cannot_be_read_is_named(small):
    (small / "items.parquet").chmod(0)
    assert "items.parquet cannot be read: Permission denied" in refusal(small)


def test_files_of_a_written_directory_have_the_permissions_of_the_umask(tmp_path):
    def build(directory: Path) -> None:
        (directory / "model").mkdir(mode=0o700)
        (directory / "model" / "weights").touch(mode=0o600)

    (tmp_path / "usual").touch()
    write_directory(tmp_path / "bundle", build)
    weights = tmp_path / "bundle" / "model" / "weights"
    assert weights.stat().st_mode == (tmp_path / "usual").stat().st_mode


RESEALED = {
    "towers/config.json": b'{"layers": 1000000000}',
    "towers/model.safetensors": b"\xff" * 64,
    "rerank/config.json": b"[]",
    "rerank/features.json": b"{",
    "tokenizer/tokenizer.json": b"{}",
    "index/index.json": b'{"kind": "scann"}',
    "index/vectors.npy": b"\x93NUMPY\x01\x00",
    "lexical/meta.json": b"{}",
    "items.parquet": b"PAR1PAR1",
    "golden.jsonl": b'{"query": 7}\n',
}


@pytest.mark.parametrize("path", RESEALED)
def test_a_broken_file_that_fits_its_manifest_is_refused_in_one_line(tiny_bundle, tmp_path, path):
    directory = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, directory)
    assert (directory / path).is_file()
    (directory / path).write_bytes(RESEALED[path])
    manifest = Manifest.read(directory)
    manifest.with_files(list_files(directory)).write(directory)
    with pytest.raises(InputError) as refused:
        Engine.load(directory)
    assert str(directory) in str(refused.value)
    assert "\n" not in str(refused.value)
    if path == "golden.jsonl":  # an unexpected error: its text may quote a query
        assert "cannot be opened (KeyError in replay, golden.py)" in str(refused.value)


def test_a_manifest_keeps_its_calibration_and_the_id_depends_on_it(small):
    model = StageModel(LogisticModel(0.5, {}), LogisticModel(0.0, {"cosine": 2.0}), 0.25)
    before = Manifest.read(small)
    calibrated = replace(before, calibration=Calibration(model, None)).with_files(before.files)
    calibrated.write(small)
    assert Manifest.read(small) == calibrated
    assert calibrated.bundle_id != before.bundle_id


@pytest.mark.parametrize(
    "calibration", [{}, "0.5", {"recalled": {"threshold": 2}, "reranked": None}, {"recalled": None}]
)
def test_a_malformed_calibration_is_refused(small, calibration):
    edit_manifest(small, calibration=calibration)
    assert "is not a valid manifest" in refusal(small)
