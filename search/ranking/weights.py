"""The weights with which scores are combined: recall scores, and final scores of reranked items."""

from collections.abc import Mapping
from dataclasses import dataclass

from base.errors import InputError

RECALL_WEIGHT = 1.5  # weight of the recall score beside the reranker's logit
MAX_WEIGHT = 100  # at this weight, only the weighted score decides the order in practice


@dataclass(frozen=True)
class Weights:
    """The weights of scores.

    Attributes:
        channels: The weight of each channel's scores in the recall score, by channel name.
        recall: The weight of the recall score, which is added to the reranker's logit.
    """

    channels: Mapping[str, float]
    recall: float


def parse_channel_weights(text: str) -> dict[str, float]:
    """Parse weights such as "dense=1,lexical=0.4"; an empty text has no weights.

    Raises:
        InputError: the text has another form, or a weight is out of its limits.
    """
    weights = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.partition("=")
        try:
            weights[name.strip()] = weight = float(number)
        except ValueError:
            raise InputError(
                f"engine: channel_weights has {part!r}; give a channel and a number, such as "
                "lexical=0.4"
            ) from None
        if not 0 <= weight <= MAX_WEIGHT:
            raise InputError(
                f"engine: channel_weights has {part!r}; give a weight from 0 to {MAX_WEIGHT}"
            )
    return weights


def check_weights(text: str, weights: Mapping[str, float]) -> None:
    """Check the setting `engine.channel_weights`.

    Args:
        text: The setting; see `parse_channel_weights`.
        weights: The resulting weights of all channels of the bundle, by channel name.

    Raises:
        InputError: the setting names an unknown channel, or turns every channel off.
    """
    if unknown := parse_channel_weights(text).keys() - weights.keys():
        raise InputError(
            f"engine: channel_weights names {', '.join(sorted(unknown))}; the bundle has the "
            f"channels {', '.join(weights)}"
        )
    if not any(weights.values()):
        raise InputError("engine: channel_weights turns every channel off; give one a weight")
