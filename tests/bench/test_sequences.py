"""Sequences of ids: how they are read, chosen on and measured."""

import gzip

import pytest

from base.errors import InputError
from behaviour.cases import leave_one_out_case
from bench.quality.recommend.sequences import SequencesConfig, choose, main, read_sequences

# Item b follows a, c follows b, and d follows c; each user starts elsewhere in the circle.
LINES = "".join(
    f"{user} {' '.join('abcdefgh'[(user + step) % 8] for step in range(4))}\n" for user in range(40)
)


def test_sequences_are_read_with_and_without_compression(tmp_path):
    plain, packed = tmp_path / "x.txt", tmp_path / "x.txt.gz"
    plain.write_text(LINES)
    packed.write_bytes(gzip.compress(LINES.encode()))
    for path in (plain, packed):
        sequences = read_sequences(path)
        assert (sequences.users, sequences.items, len(sequences)) == (40, 8, 160)
        assert sequences.item[:4].tolist() == [0, 1, 2, 3]
        assert sequences.session.tolist() == list(range(160))


def test_the_next_item_of_a_circle_is_found(tmp_path, capsys):
    path = tmp_path / "x.txt"
    path.write_text(LINES)
    options = SequencesConfig(path, (1, 2), (0.0, 0.9), (1.0,), (0.0,))
    chosen = choose(leave_one_out_case(read_sequences(path), 1), options)
    assert chosen.backward == 0.0
    main(options)
    *_, last = capsys.readouterr().out.splitlines()
    assert last == "last: R@10 / N@10 1.0000 [1.0000, 1.0000] / 1.0000 [1.0000, 1.0000]"


def test_a_line_without_three_items_is_refused(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("1 2 3 4\n5 6\n")
    with pytest.raises(InputError, match="line 2 has no user id with at least three items"):
        read_sequences(path)
