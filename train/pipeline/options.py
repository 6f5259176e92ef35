"""Options of `python -m train`: one frozen dataclass, and presets of its values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bert.params import DEFAULT_PRETRAINED
from lexical.config import LexicalConfig
from lexical.suggestions import SuggestionConfig
from rerank.model import RerankerConfig
from towers.index import IndexConfig
from towers.model import TowersConfig
from train.data.candidates import CandidatesConfig
from train.data.mine import MineConfig
from train.evaluation.guard import GuardConfig
from train.loop.fit import FitConfig
from train.people.training import PEOPLE_FIT, PeopleConfig
from train.pipeline.behaviour import BehaviourConfig
from train.pipeline.calibration import CalibrationConfig
from train.pipeline.rerank import ListsConfig
from train.pipeline.towers import PairsConfig
from train.pipeline.vocabulary import VocabularyConfig

DEMO = "demo"
PresetName = Literal["auto", "full", "demo", "multilingual"]


@dataclass(frozen=True)
class TrainConfig:
    """Train towers and reranker, and build and evaluate a bundle."""

    data: str = DEMO  # dataset directory, or `demo` for the generated store
    # dataset directory whose events also train the item tower; the bundle serves only `data`
    with_data: Path | None = None
    out: Path = Path("out")  # output directory of the steps and of the bundle
    preset: PresetName = "auto"  # set of default values; auto: `demo` for demo data, else `full`
    demo_seed: int = 0  # seed of the generated store
    # a server's --state directory, whose writes are first applied to the dataset's items
    from_state: Path | None = None
    seed: int = 0  # seed of the order of examples, of dropout and of all other random choices
    # initial weights: all-MiniLM-L6-v2, the directory of a Hugging Face model, a hub name with its
    # commit (org/name@<40 hexadecimal digits>), or a bundle
    init_from: str = DEFAULT_PRETRAINED
    # cross-encoder that the reranker starts from: model name or directory; None starts from the
    # towers' encoder
    rerank_init_from: str | None = None
    # number of layers of the pretrained encoder to keep, from the first on; None keeps all
    layers: int | None = None
    # number of layers of the towers' encoder that a new reranker keeps, from the first on; None
    # keeps all
    rerank_layers: int | None = 4
    # maximum number of queries that the command `all` evaluates on, drawn at random; 0 takes all
    evaluate_queries: int = 0
    numerics: Literal["auto", "float32", "bfloat16"] = "auto"  # input type of matrix products
    model_parallel: int = 1  # devices that share one copy of the parameters
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    towers: TowersConfig = field(default_factory=TowersConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    towers_fit: FitConfig = field(default_factory=FitConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    lexical: LexicalConfig = field(default_factory=LexicalConfig)
    suggestions: SuggestionConfig = field(default_factory=SuggestionConfig)
    behaviour: BehaviourConfig = field(default_factory=BehaviourConfig)
    mine: MineConfig = field(default_factory=MineConfig)
    candidates: CandidatesConfig = field(default_factory=CandidatesConfig)
    reranker: RerankerConfig = field(default_factory=RerankerConfig)
    lists: ListsConfig = field(default_factory=ListsConfig)
    rerank_fit: FitConfig = field(default_factory=FitConfig)
    people: PeopleConfig = field(default_factory=PeopleConfig)
    people_fit: FitConfig = PEOPLE_FIT
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)


# The towers train on all pairs once, and the reranker on about fifty thousand pairs. For a
# catalogue of fifty thousand titles, training takes less than an hour on two cores.
FULL = TrainConfig(
    towers_fit=FitConfig(learning_rate=5e-5, head_learning_rate=1e-4),
    candidates=CandidatesConfig(max_queries=6000),
    rerank_fit=FitConfig(learning_rate=5e-5),
)
# With three layers, short texts, few examples and a high learning rate, training takes minutes on
# two cores. Training does not group similar queries (`group=1`), because they often share relevant
# items in a small store. The towers train on judgments alone, because short trainings with events
# are no better on `dev` of this store. The reranker uses the saved time.
DEMO_PRESET = replace(
    FULL,
    layers=3,
    rerank_layers=None,
    evaluate_queries=60,
    towers=TowersConfig(max_query_tokens=16, max_item_tokens=32),
    pairs=PairsConfig(max_pairs=2560, dev_queries=60, dev_items=600, group=1, event_weight=0.0),
    towers_fit=FitConfig(learning_rate=5e-4, evaluations=1, log_every=2),
    candidates=CandidatesConfig(max_queries=600),
    reranker=RerankerConfig(max_query_tokens=12, max_tokens=44),
    lists=ListsConfig(dev_queries=30),
    rerank_fit=FitConfig(learning_rate=2e-4, evaluations=1, log_every=2),
    calibration=CalibrationConfig(train_queries=100, absent=50),
)
# The model reads about a hundred languages. Its own files do not name the prefixes that it was
# trained with. The token budgets hold Chinese titles, which have more tokens than English ones.
MULTILINGUAL = replace(
    FULL,
    init_from="intfloat/multilingual-e5-small@fd1525a9fd15316a2d503bf26ab031a61d056e98",
    vocabulary=VocabularyConfig(prune=True),
    towers=TowersConfig(
        max_query_tokens=32,
        max_item_tokens=96,
        pooling="mean",
        temperature=0.01,  # as in the training of the model
        query_prefix="query: ",
        item_prefix="passage: ",
    ),
    reranker=RerankerConfig(max_query_tokens=28, max_tokens=128),
)
PRESETS: Mapping[str, TrainConfig] = {
    "full": FULL,
    "demo": DEMO_PRESET,
    "multilingual": MULTILINGUAL,
}


def preset(name: str, data: str) -> TrainConfig:
    """Return the default values of a preset."""
    if name not in PRESETS:
        name = "demo" if data == DEMO else "full"
    return PRESETS[name]
