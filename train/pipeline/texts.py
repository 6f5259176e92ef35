"""Text vectors of all items, by an encoder that is not trained further."""

import numpy as np
from jaxtyping import Float32

from bert.numerics import Numerics
from catalog.dataset.reading import Dataset
from catalog.store import ItemStore
from towers.encoder import TowerEncoder
from towers.model import TowersConfig
from train.data.vectors import item_texts
from train.loop.initial_weights import InitialWeights
from train.recommend.windows import Catalogue

NO_ENCODER = "none"


def catalogue_of(dataset: Dataset, init_from: str) -> Catalogue:
    """Return the prices of a dataset's items, and their text vectors.

    Args:
        dataset: The dataset.
        init_from: Weights of the encoder: model name, directory or bundle; "none": no vectors.

    Raises:
        InputError: the weights are missing or damaged.
    """
    prices = dataset.items["price"].to_numpy().astype(np.float32)
    if init_from == NO_ENCODER:
        return Catalogue(prices)
    return Catalogue(prices, text_vectors(ItemStore(dataset.items), init_from))


def text_vectors(store: ItemStore, init_from: str) -> Float32[np.ndarray, "items dim"]:
    """Encode the texts of all items as unit vectors.

    Args:
        store: The items.
        init_from: Weights of the encoder: model name, directory or bundle.

    Raises:
        InputError: the weights are missing or damaged.
    """
    weights = InitialWeights.find(init_from, None)
    towers = weights.towers(weights.resolve(TowersConfig()))
    encoder = TowerEncoder(
        towers, weights.tokenizer, Numerics("float32", "the same on every machine"), bulk=True
    )
    return encoder.items(item_texts(store))
