"""The sizes of a BERT encoder, read from and written to Hugging Face's `config.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from base.errors import InputError
from base.untrusted import limits


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT encoder."""

    vocab_size: int  # number of word pieces
    hidden_size: int  # width of every hidden state
    num_layers: int  # number of transformer layers
    num_heads: int  # number of attention heads; it divides hidden_size
    intermediate_size: int  # width of the MLP's inner layer
    max_positions: int = 512  # longest input, in tokens
    type_vocab_size: int = 2  # number of segment types: first and second text of a pair
    layer_norm_eps: float = 1e-12  # added to the variance in layer norm
    dropout: float = 0.1  # dropout rate of hidden states and of attention weights
    # row of the position embeddings that a text's first token reads; the rows before it are unused.
    # XLM-R and RoBERTa start at the id of padding plus 1.
    first_position: int = 0

    def __post_init__(self) -> None:
        """Check that the sizes are possible."""
        for field, most in limits.BERT_SIZES.items():
            if not 1 <= getattr(self, field) <= most:
                raise InputError(
                    f"BERT config: {_HF_SIZES[field]} {getattr(self, field)} is not between 1 and "
                    f"{most}"
                )
        if self.hidden_size % self.num_heads:
            raise InputError(
                f"BERT config: hidden_size {self.hidden_size} is not a multiple of "
                f"num_attention_heads {self.num_heads}"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"BERT config: dropout {self.dropout} is not in [0, 1)")
        if not 0 <= self.first_position <= limits.BERT_SIZES["max_positions"]:
            raise InputError(
                f"BERT config: pad_token_id {self.first_position - 1} is not between 0 and "
                f"{limits.BERT_SIZES['max_positions'] - 1}"
            )

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> "BertConfig":
        """Read Hugging Face's `config.json`.

        Raises:
            InputError: a size is missing, or the architecture, activation or kind of position
                embedding is not supported.
        """
        kind = config.get("model_type", _BERT)
        if kind not in (_BERT, *_OFFSET):
            raise InputError(
                f"BERT config: model_type is {kind!r}; only {', '.join((_BERT, *_OFFSET))} are "
                "supported"
            )
        sizes = [*_HF_SIZES.values(), *(["pad_token_id"] if kind in _OFFSET else [])]
        missing = [key for key in sizes if not isinstance(config.get(key), int)]
        if missing:
            raise InputError(f"BERT config: no whole number under {', '.join(missing)}")
        for key, supported in _HF_FIXED.items():
            if config.get(key, supported) != supported:
                raise InputError(
                    f"BERT config: {key} is {config[key]!r}; only {supported!r} is supported"
                )
        first = config["pad_token_id"] + 1 if kind in _OFFSET else 0
        values = {field: config[key] for field, key in _HF_SIZES.items()}
        values["max_positions"] -= first
        return cls(
            **values,
            first_position=first,
            layer_norm_eps=float(config.get("layer_norm_eps", 1e-12)),
            dropout=float(config.get("hidden_dropout_prob", 0.1)),
        )

    def to_hf(self) -> dict[str, Any]:
        """Return Hugging Face's `config.json` for this model."""
        offset = self.first_position > 0
        return {
            "architectures": ["XLMRobertaModel" if offset else "BertModel"],
            "model_type": _OFFSET[0] if offset else _BERT,
            **_HF_FIXED,
            **{key: getattr(self, field) for field, key in _HF_SIZES.items()},
            "max_position_embeddings": self.max_positions + self.first_position,
            **({"pad_token_id": self.first_position - 1} if offset else {}),
            "layer_norm_eps": self.layer_norm_eps,
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout,
        }


_HF_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
}
_BERT = "bert"
# Model types with the layers of BERT, whose positions start at `pad_token_id` + 1.
_OFFSET = ("xlm-roberta", "roberta")
_HF_FIXED = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
