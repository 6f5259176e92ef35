"""Options of `python -m train`: one frozen dataclass, and named combinations that are tested."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bert.params import DEFAULT_PRETRAINED
from rerank.model import RerankerConfig
from towers.index import IndexConfig
from towers.model import TowersConfig
from train.candidates import CandidatesConfig
from train.fit import FitConfig
from train.mine import MineConfig
from train.rerank import ListsConfig
from train.towers import PairsConfig

DEMO = "demo"
PresetName = Literal["auto", "full", "demo"]


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a training run builds."""

    data: str = DEMO  # dataset directory, or `demo` for the generated store
    out: Path = Path("out")  # where steps and the bundle are written
    preset: PresetName = "auto"  # start from these values; auto: `demo` for demo data, else `full`
    demo_seed: int = 0  # seed of the generated store
    seed: int = 0  # decides the order of examples, dropout and every other draw
    init_from: str = DEFAULT_PRETRAINED  # weights to start from: model name, directory or bundle
    layers: int | None = None  # keep so many of the pretrained encoder's layers; all by default
    numerics: Literal["auto", "float32", "bfloat16"] = "auto"  # input type of matrix products
    model_parallel: int = 1  # devices that share one copy of the parameters
    towers: TowersConfig = field(default_factory=TowersConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    towers_fit: FitConfig = field(default_factory=FitConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    mine: MineConfig = field(default_factory=MineConfig)
    candidates: CandidatesConfig = field(default_factory=CandidatesConfig)
    reranker: RerankerConfig = field(default_factory=RerankerConfig)
    lists: ListsConfig = field(default_factory=ListsConfig)
    rerank_fit: FitConfig = field(default_factory=FitConfig)


FULL = TrainConfig()
# Three layers and few examples: minutes on two cores.
DEMO_PRESET = replace(
    FULL,
    layers=3,
    towers=replace(FULL.towers, max_query_tokens=16, max_item_tokens=48),
    pairs=replace(FULL.pairs, max_pairs=2560, dev_queries=60, dev_items=600),
    towers_fit=replace(FULL.towers_fit, learning_rate=1e-4, dropout=False, evaluations=2),
    candidates=replace(FULL.candidates, max_queries=400),
    reranker=replace(FULL.reranker, max_query_tokens=16, max_tokens=64),
    lists=replace(FULL.lists, dev_queries=40),
    rerank_fit=replace(FULL.rerank_fit, learning_rate=1e-4, dropout=False, evaluations=2),
)
PRESETS: Mapping[str, TrainConfig] = {"full": FULL, "demo": DEMO_PRESET}


def preset(name: PresetName, data: str) -> TrainConfig:
    """The values that a preset starts from."""
    if name not in PRESETS:
        name = "demo" if data == DEMO else "full"
    return PRESETS[name]
