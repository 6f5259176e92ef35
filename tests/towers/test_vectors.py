"""Item vectors in files: float32 vectors stay exact, and vectors in fewer bytes are rounded."""

from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from tests.towers.examples import unit
from towers import vectors as module
from towers.vectors import as_float32, create_vectors, open_vectors


def stored(directory: Path, values: np.ndarray, how: module.Stored):
    """Write some vectors to a file and open it."""
    file = create_vectors(directory, *values.shape, how)
    file[: len(values)] = values
    file.flush()
    return open_vectors(directory)


def test_bfloat16_keeps_seven_bits_after_the_first_and_rounds_ties_to_even(tmp_path):
    step = 2.0**-7  # distance of bfloat16 numbers between 1 and 2
    given = [1 + 0.4 * step, 1 + 0.5 * step, 1 + 1.5 * step, -(1 + 1.6 * step), 0.0, 3e-5]
    found = stored(tmp_path, np.array([given], np.float32), "bfloat16")[0]
    assert found[:5].tolist() == [1.0, 1.0, 1 + 2 * step, -(1 + 2 * step), 0.0]
    assert found[5] == pytest.approx(3e-5, rel=2**-8)


def test_int8_rounds_each_number_to_a_127th_of_the_vectors_greatest(tmp_path):
    given = np.array([[1.27, 0.014, -0.016, 0.0], [-0.254, 0.001, 0.0029, 0.127], 4 * [0.0]])
    found = stored(tmp_path, given.astype(np.float32), "int8")[:]
    expected = [[1.27, 0.01, -0.02, 0.0], [-0.254, 0.0, 0.002, 0.128], 4 * [0.0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


# The greatest error of a number between -1 and 1.
@pytest.mark.parametrize(("how", "error"), [("float32", 0), ("bfloat16", 2**-9), ("int8", 1 / 254)])
def test_rows_are_read_as_from_an_array(tmp_path, how, error):
    values = unit(50, 12, seed=0)
    read = stored(tmp_path, values, how)
    assert (len(read), read.shape) == (50, (50, 12))
    whole = read[:]
    np.testing.assert_allclose(whole, values, rtol=0, atol=error)
    rows = np.array([7, 3, 3, 49])
    for part, expected in (
        (read[4], whole[4]),
        (read[10:20], whole[10:20]),
        (read[::7], whole[::7]),
        (read[rows], whole[rows]),
        (read.take(rows, axis=0), whole[rows]),
        (read.take(rows[:0], axis=0), whole[:0]),
    ):
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part, expected)


def test_compressed_files_are_smaller_and_written_again_the_same(tmp_path):
    values, sizes = unit(100, 64, seed=0), []
    for how in ("float32", "bfloat16", "int8"):
        (tmp_path / how / "again").mkdir(parents=True)
        read = stored(tmp_path / how, values, how)
        # NumPy's header has 128 bytes.
        sizes.append((tmp_path / how / "vectors.npy").stat().st_size - 128)
        again = stored(tmp_path / how / "again", read[:], how)
        np.testing.assert_allclose(again[:], read[:], rtol=1e-6)
    assert sizes == [100 * 64 * 4, 100 * 64 * 2, 100 * (64 + 4)]


def test_a_file_of_other_numbers_is_refused(tmp_path):
    np.save(tmp_path / "vectors.npy", np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"vectors\.npy does not contain vectors: .* float64"):
        open_vectors(tmp_path)


@pytest.mark.parametrize("how", ["bfloat16", "int8"])
def test_one_float32_array_is_made_aside_and_leaves_nothing_there(tmp_path, how):
    read = stored(tmp_path, unit(50, 12, seed=0), how)
    (tmp_path / "scratch").mkdir()
    with as_float32(read, tmp_path / "scratch", chunk=7) as whole:
        np.testing.assert_array_equal(whole, read[:])
        assert list((tmp_path / "scratch").iterdir()) == []
    array = read[:]
    with as_float32(array, tmp_path / "nowhere") as whole:
        assert whole is array


def test_a_header_that_claims_more_than_the_file_has_is_refused(tmp_path):
    np.save(tmp_path / "vectors.npy", np.zeros((10, 16), np.float32))
    content = (tmp_path / "vectors.npy").read_bytes()
    claimed = content.replace(b"(10, 16), }      ", b"(1000000, 16), } ")
    assert len(claimed) == len(content)
    (tmp_path / "vectors.npy").write_bytes(claimed)
    with pytest.raises(InputError, match=r"its header claims \(1000000, 16\) numbers of float32"):
        open_vectors(tmp_path)
