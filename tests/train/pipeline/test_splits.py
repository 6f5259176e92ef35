"""Training reads only queries of the split `train`."""

import json
from dataclasses import replace

import pytest

from base.errors import InputError
from bert.numerics import Numerics
from tests.tiny import tiny_items
from tests.train.examples import TEXTS, relevance, towers_example
from train.cli.main import main
from train.loop.fit import FitConfig, TrainingSetup
from train.loop.parameters import make_mesh
from train.pipeline.towers import PairsConfig, train_towers


def test_towers_do_not_train_on_dev_queries(tokenizer, tmp_path):
    with pytest.raises(InputError, match="no query of split train has a relevant item"):
        train_towers(
            towers_example(tokenizer).model,
            tokenizer,
            Numerics("float32", "tests"),
            replace(relevance(), splits=("dev",) * 8),
            TEXTS,
            config=PairsConfig(batch=4),
            setup=TrainingSetup(
                FitConfig(epochs=1),
                seed=0,
                mesh=make_mesh(1),
                checkpoints=tmp_path / "checkpoints",
                scalars=tmp_path / "scalars",
            ),
        )


@pytest.mark.usefixtures("shared_cache")
def test_a_dataset_with_only_dev_queries_leaves_the_towers_as_they_are(dataset, flags, tmp_path):
    items = [{"item_id": item.item_id, "title": item.title} for item in tiny_items()]
    judged = [
        {"query": "usb c charger", "item_id": items[row]["item_id"], "grade": row, "split": "dev"}
        for row in (0, 1)
    ]
    out = tmp_path / "out"
    assert main(["towers", *flags(dataset(items=items, judgments=judged), out)]) == 0
    step = json.loads((out / "steps" / "towers" / "step.json").read_text())
    assert step["report"]["pairs"] == 0
