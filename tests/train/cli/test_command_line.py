"""`python -m train` on bad input: exit code 2, one message with the reason, no traceback."""

import pytest

from train.cli.main import main

ITEMS = [{"item_id": "1", "title": "Saw"}, {"item_id": "2", "title": "Drill"}]


def judged(*rows):
    names = ("query", "item_id", "grade", "split")
    return [dict(zip(names, row, strict=True)) for row in rows]


def complaint(capsys, *arguments) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    # Only lines that begin with "error: " count, because Orbax also logs errors.
    before, _, message = f"\n{captured.err}".partition("\nerror: ")
    assert message, before
    assert "\nerror: " not in message
    return message


TWO_SPLITS = judged(("saw", "1", 1, "train"), ("saw", "2", 0, "test"))
BAD = {
    "wrong type": ({"items": [{**ITEMS[0], "price": "dear"}]}, "price"),
    "duplicate ids": ({"items": [*ITEMS, ITEMS[0]]}, "item_id"),
    "no items": ({"items": []}, "items"),
    "no title": ({"items": [{"item_id": "1", "title": " "}]}, "title"),
    "grade is NaN": (
        {"items": ITEMS, "judgments": judged(("saw", "1", float("nan"), "train"))},
        "grade",
    ),
    "two splits": ({"items": ITEMS, "judgments": TWO_SPLITS}, "split"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("command", [(), ("towers",), ("validate",)])
def test_data_that_cannot_be_used_is_refused_and_leaves_nothing(
    dataset, pretrained, tmp_path, capsys, kind, command
):
    tables, named = BAD[kind]
    data, out = dataset(**tables), tmp_path / "out"
    more = () if command == ("validate",) else ("--out", out, "--init-from", pretrained)
    assert named in complaint(capsys, *command, "--data", data, *more)
    assert not out.exists()


def test_a_vocabulary_that_cannot_be_pruned_is_refused_and_leaves_nothing(
    dataset, pretrained, tmp_path, capsys
):
    data, out = dataset(items=ITEMS), tmp_path / "out"
    options = ("--data", data, "--out", out, "--init-from", pretrained, "--vocabulary.prune")
    sizes = ("--towers.dim", "32", "--towers.max-item-tokens", "24", "--reranker.max-tokens", "32")
    assert "type WordPiece cannot be pruned" in complaint(capsys, *options, *sizes)
    assert not out.exists()


def test_a_missing_dataset_is_named_and_leaves_nothing(pretrained, tmp_path, capsys):
    data, out = tmp_path / "nowhere", tmp_path / "out"
    options = ("--data", data, "--out", out, "--init-from", pretrained)
    assert str(data) in complaint(capsys, *options)
    assert str(data) in complaint(capsys, "validate", "--data", data)
    assert not out.exists()


def test_a_missing_model_is_named_and_leaves_nothing(dataset, tmp_path, capsys):
    data, out = dataset(items=ITEMS), tmp_path / "out"
    message = complaint(capsys, "--data", data, "--out", out, "--init-from", "no-such-model")
    assert "no pretrained model 'no-such-model'" in message
    assert not out.exists()


def test_a_bundle_that_is_none_is_named(dataset, tmp_path, capsys):
    data = dataset(items=ITEMS)
    options = ("evaluate", "--bundle", tmp_path / "bundle", "--data", data)
    assert f"{tmp_path / 'bundle'} is not a directory" in complaint(capsys, *options)
    (tmp_path / "bundle").mkdir()
    assert "has no manifest.json" in complaint(capsys, *options)
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "data"}


def test_an_unknown_command_names_the_known_ones(capsys):
    message = complaint(capsys, "trian")
    steps = ("towers", "index", "mine", "rerank", "suggest", "behaviour", "people", "bundle")
    for command in ("all", "validate", *steps, "evaluate"):
        assert command in message


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--towers-fit.epochs", "0"), "epochs is 0"),
        (("--pairs.batch", "0"), "batch"),
        (("--mine.depth", "0"), "depth is 0"),
        (("--calibration.absent", "0"), "absent is 0"),
        (("--lexical.analyser", "klingon"), "analyser 'klingon' is unknown"),
        (("--lexical.field-weights.brand", "-1"), "the weight of brand is -1"),
        (("--candidates.unjudged", "10"), "unjudged 10"),
        (("--towers.dim", "33"), "dim 33"),
        (("--towers.max-item-tokens", "999"), "max_item_tokens 999"),
        (("--reranker.max-tokens", "3"), "max_tokens 3"),
        (("--layers", "3"), "num_layers is 3"),
        (("--model-parallel", "3"), "model_parallel is 3"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(
    dataset, flags, shared_cache, tmp_path, capsys, options, named
):
    data = dataset(items=ITEMS, judgments=judged(("saw", "1", 1, "train")))
    assert named in complaint(capsys, *flags(data, tmp_path / "out", *options))
    steps = tmp_path / "out" / "steps"
    assert not [path for path in steps.glob("*") if "unfinished" not in path.name]


@pytest.mark.parametrize(
    "arguments",
    [["--no-such-flag"], ["--seed", "soon"], ["--preset", "x"], ["--index.vectors", "float16"]],
)
def test_unknown_flags_and_values_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_sound_dataset_is_counted_with_its_warnings(dataset, capsys):
    unknown = judged(("saw", "1", 1, "train"), ("saw", "9", 0, "train"))
    data = dataset(items=ITEMS, judgments=unknown)
    assert main(["validate", "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "warning: " in shown
    assert "2 items, 1 judgments; no errors" in shown


def test_a_damaged_checkpoint_is_refused_by_name(dataset, flags, shared_cache, tmp_path, capsys):
    data = dataset(
        items=ITEMS, judgments=judged(("saw", "1", 1, "train"), ("drill", "2", 1, "train"))
    )
    arguments = flags(
        data, tmp_path / "out", "--pairs.batch", "2", "--towers-fit.checkpoint-every", "3"
    )
    # The step fails at its end: a file has the name that the earlier result would get.
    steps = tmp_path / "out" / "steps"
    (steps / "towers").mkdir(parents=True)
    (steps / ".towers.old").write_text("not a directory")
    assert str(steps / "towers") in complaint(capsys, "towers", *arguments)
    (steps / ".towers.old").unlink()
    (unfinished,) = steps.glob("towers-unfinished-*")
    for path in unfinished.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message = complaint(capsys, "towers", *arguments)
    assert str(unfinished) in message
    assert "delete" in message
