import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from base.untrusted.arrays import map_array, read_arrays

NUMBERS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "numbers.npy"


def header(shape: str, dtype: str = "'<f4'", version: bytes = b"\x01\x00") -> bytes:
    """The header of an array; `shape` and `dtype` are Python text."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("array", [NUMBERS, NUMBERS.T, NUMBERS[:0], np.float64(7), NUMBERS > 3])
def test_an_array_is_mapped_as_it_was_saved(path, array):
    np.save(path, array)
    mapped = map_array(path)
    np.testing.assert_array_equal(mapped, array)
    assert (type(mapped), mapped.dtype) == (np.ndarray, array.dtype)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("(4_611_686_018_427_387_904, 4)") + bytes(48), "claims .* and it has 48 bytes"),
        (header("(3_000_000_000, 3_000_000_000, 2)") + bytes(48), "it has 48 bytes"),
        (header("(-3, -4)") + bytes(48), "it has 48 bytes"),
        (header("(3, 4)") + bytes(47), "it has 47 bytes"),
        (header("(3, 4)") + bytes(49), "it has 49 bytes"),
        (header("(3, 4)", "'|O'") + bytes(96), "not a NumPy array of numbers"),
        (header("(1,)", "'<U100000000'") + bytes(48), "it has 48 bytes"),
        (header("(3, 4)", version=b"\x02\x00") + bytes(48), "format version"),
        (b"\x93NUMPY\x01\x00\xff\xff", "not a NumPy array"),
        (header("(" * 2_000), "not a NumPy array"),
        (b"", "not a NumPy array"),
        (b"PK\x03\x04 an archive", "not a NumPy array"),
        (pickle.dumps([1]), "not a NumPy array"),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as refused:
        map_array(path)
    assert "\n" not in str(refused.value)


def test_an_archive_is_read_as_it_was_saved(path):
    np.savez(path.with_suffix(".npz"), a=NUMBERS, b=np.float64(0.25))
    arrays = read_arrays(path.with_suffix(".npz"))
    assert set(arrays) == {"a", "b"}
    np.testing.assert_array_equal(arrays["a"], NUMBERS)
    assert float(arrays["b"]) == 0.25


def test_a_compressed_archive_is_refused_before_it_is_decompressed(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, a=np.zeros(10**7))
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="an array in it is compressed"):
        read_arrays(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x05\x06", header("(1_000_000_000_000,)"), header("(2,)") + bytes(7)]
)
def test_an_archive_with_a_damaged_array_is_refused(tmp_path, content):
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(ValueError, match=r"not a NumPy array|its header claims"):
        read_arrays(path)


def test_an_archive_whose_members_share_bytes_is_refused(tmp_path):
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header("(1_000_000,)") + bytes(4_000_000))
        member = archive.filelist[0]
        archive.filelist += [member] * 99  # the directory names the same bytes a hundred times
    with pytest.raises(ValueError, match="its arrays are larger than the file"):
        read_arrays(path)


def test_a_file_that_is_no_archive_is_refused(path):
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="it is no archive"):
        read_arrays(path)
