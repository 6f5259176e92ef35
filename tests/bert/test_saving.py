import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from base.errors import InputError
from bert.config import BertConfig
from bert.model import Bert, Dense
from bert.params import WeightsError, bert_tensors
from bert.saving import (
    fill_model,
    load_model,
    load_weights,
    model_tensors,
    read_config,
    save_model,
)


class Model(nnx.Module):
    """Two encoders and other parameters."""

    def __init__(self, bert: BertConfig, *, rngs: nnx.Rngs) -> None:
        self.bert = Bert(bert, rngs=rngs)
        self.other = Bert(bert, rngs=rngs)
        self.head = Dense(bert.hidden_size, 3, rngs=rngs)
        self.scale = nnx.Param(jnp.float32(2.5))
        self.absent = None


@pytest.fixture(scope="module")
def model(tiny_config) -> Model:
    return Model(tiny_config, rngs=nnx.Rngs(0))


def abstract(config: BertConfig) -> Model:
    return nnx.eval_shape(lambda: Model(config, rngs=nnx.Rngs(1)))


def test_a_saved_model_loads_back_bit_by_bit(model, tiny_config, tmp_path):
    save_model(model, {"size": 3}, tmp_path)
    again = abstract(tiny_config)
    load_weights(again, tmp_path)
    assert read_config(tmp_path) == {"size": 3}
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again), nnx.state(model))


def test_encoders_are_stored_under_hugging_face_s_keys(model, tmp_path):
    save_model(model, {}, tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    for name in ("bert", "other"):
        for key, tensor in bert_tensors(getattr(model, name)).items():
            np.testing.assert_array_equal(stored.pop(f"{name}.{key}"), tensor)
    assert set(stored) == {"head.kernel", "head.bias", "scale"}


def test_all_tensors_that_do_not_fit_are_listed_and_nothing_changes(model, tiny_config):
    tensors = model_tensors(model)
    del tensors["head.bias"]
    del tensors["other.encoder.layer.1.output.dense.bias"]
    tensors["head.kernel"] = tensors["head.kernel"].T
    tensors["bert.surprise"] = np.zeros(1, np.float32)
    tensors["extra"] = np.zeros(1, np.float32)
    filled = abstract(tiny_config)
    with pytest.raises(WeightsError) as caught:
        fill_model(filled, tensors)
    for part in (
        "other: BERT weights do not fit (1 problems): missing encoder.layer.1.output.dense.bias",
        "bert: BERT weights do not fit (1 problems): unexpected surprise",
        "missing head.bias",
        "head.kernel has shape (3, 16), the config says (16, 3)",
        "unexpected extra",
    ):
        assert part in str(caught.value)


def test_half_precision_weights_are_read_as_float32(model, tiny_config, tmp_path):
    save_model(model, {}, tmp_path)
    path = tmp_path / "model.safetensors"
    save_file({name: t.astype(np.float16) for name, t in load_file(path).items()}, path)
    again = abstract(tiny_config)
    load_weights(again, tmp_path)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(again))} == {np.dtype(np.float32)}


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", "cut"])
def test_weights_that_are_missing_or_damaged_are_named(model, tiny_config, tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content == "cut":
        save_model(model, {}, tmp_path)
        content = path.read_bytes()[:-100]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        load_weights(abstract(tiny_config), tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{", "cannot be read"), (json.dumps([1]), "holds no JSON object")],
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=rf"config\.json {message}"):
        read_config(tmp_path)


def test_a_model_of_too_many_parameters_is_refused_before_its_weights_are_read(tmp_path):
    sizes = BertConfig(10_000_000, 8_192, 64, 64, 65_536).to_hf()
    (tmp_path / "config.json").write_text(json.dumps({"bert": sizes}))
    embeddings = (10_000_000 + 512 + 2 + 2) * 8_192
    layers = 64 * (4 * (8_192 + 1) * 8_192 + 2 * 8_192 * 65_536 + 65_536 + (1 + 4) * 8_192)
    parameters = f"{embeddings + layers:,}"
    with pytest.raises(InputError, match=rf"config\.json describes {parameters} parameters"):
        load_model(tmp_path, dict, lambda _, bert, *, rngs: Bert(bert, rngs=rngs), "encoder")


@pytest.mark.parametrize(
    "bert", [[], "bert", {"hidden_size": 16}, {"layer_norm_eps": "small"}, {"hidden_size": True}]
)
def test_a_configuration_of_the_wrong_form_is_refused(tiny_config, tmp_path, bert):
    if isinstance(bert, dict):
        bert = tiny_config.to_hf() | {"num_attention_heads": 3} | bert
    (tmp_path / "config.json").write_text(json.dumps({"bert": bert}))
    with pytest.raises(InputError, match=r"describes no encoder|not a multiple"):
        load_model(tmp_path, dict, lambda _, bert, *, rngs: Bert(bert, rngs=rngs), "encoder")
