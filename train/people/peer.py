"""The user tower alone, as a system of `evaluate --task recommend`."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from base.errors import InputError
from behaviour.cases import Case
from rerank.recommend.recommender import Recommender
from towers.history.encoder import UserEncoder
from towers.history.moment import MomentFeatures
from train.evaluation.recommend.systems import System
from train.loop.fit import FitConfig, TrainingSetup
from train.loop.parameters import make_mesh
from train.people.training import PeopleConfig, train_people
from train.recommend.recommender import Lessons
from train.recommend.windows import Catalogue

USER_TOWER = "user_tower"


@dataclass(frozen=True)
class UserTowerPeer:
    """Trains the user tower on the events that a case lets models read; see `Peers`.

    Attributes:
        catalogue: The text vectors and prices of the items.
        config: Settings of the tower and its training.
        fitting: Settings of the training loop.
        trained: The encoder of each time and seed, because several cases have the same time.
    """

    catalogue: Catalogue
    config: PeopleConfig
    fitting: FitConfig
    trained: dict[tuple[int, int], UserEncoder] = field(default_factory=dict)

    def __call__(
        self, case: Case, lessons: Lessons | None, recommender: Recommender | None, seed: int
    ) -> Mapping[str, System]:
        """Return the user tower as a system."""
        del lessons, recommender
        if (case.now, seed) not in self.trained:
            self.trained[case.now, seed] = self._train(case, seed)
        encoder = self.trained[case.now, seed]
        return {USER_TOWER: lambda case: encoder.scores(case.histories, case.now)}

    def _train(self, case: Case, seed: int) -> UserEncoder:
        text = self.catalogue.vectors
        if text is None:
            raise InputError("evaluate: --user-tower needs text vectors; give --init-from a model")
        moments = MomentFeatures.of(case.past.of_types("purchase"), text, self.catalogue.prices)
        with tempfile.TemporaryDirectory() as directory:
            setup = TrainingSetup(
                self.fitting,
                seed,
                make_mesh(),
                checkpoints=Path(directory) / "checkpoints",
                scalars=Path(directory) / "scalars",
            )
            tower, _ = train_people(text, moments, case.past, self.config, setup)
        return UserEncoder(tower, text, moments)
