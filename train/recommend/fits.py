"""Recommenders at several times, which share channels and windows."""

import logging
from datetime import UTC, datetime

from behaviour.interactions import Interactions
from behaviour.recall.models import RecallModels
from rerank.recommend.recommender import Recommender
from train.recommend.recommender import Choice, Lessons, choose_ranked, fit_recommender
from train.recommend.windows import Catalogue, RecommenderConfig, Window, fit_window, window_cuts

logger = logging.getLogger(__name__)


class Fits:
    """Fits recommenders on some events, and keeps what several cuts and seeds share."""

    def __init__(
        self, events: Interactions, catalogue: Catalogue, config: RecommenderConfig
    ) -> None:
        """Fit on purchases of items of a catalogue."""
        self.events = events
        self._catalogue = catalogue
        self._config = config
        self._models: dict[int, RecallModels] = {}
        self._windows: dict[tuple[int, bool], Window] = {}
        self._lessons: tuple[tuple[int, bool], Lessons] | None = None
        self.choices: dict[tuple[int, bool], Choice] = {}

    def recommender(self, cut: int, seed: int, *, new_items: bool) -> Recommender:
        """Fit both stages at a cut. The users to rank are chosen with the first seed."""
        windows = self.windows(cut, new_items=new_items)
        if (cut, new_items) not in self.choices:
            choice = choose_ranked(windows, self._catalogue, self._config, seed)
            logger.info("cut=%s new_items=%s: %s", _day(cut), new_items, choice.line())
            self.choices[cut, new_items] = choice
        return fit_recommender(
            self.events,
            cut,
            self._catalogue,
            self._config,
            new_items=new_items,
            seed=seed,
            windows=windows,
            lessons=self.lessons(cut, new_items=new_items),
            models=self._models_at(cut),
            choice=self.choices[cut, new_items],
        )

    def lessons(self, cut: int, *, new_items: bool) -> Lessons:
        """Return the lessons of the windows before a cut; only the last ones are kept."""
        if self._lessons is None or self._lessons[0] != (cut, new_items):
            windows = self.windows(cut, new_items=new_items)
            made = Lessons.of(windows, self._catalogue, self._config)
            self._lessons = (cut, new_items), made
        return self._lessons[1]

    def windows(self, cut: int, *, new_items: bool) -> list[Window]:
        """Return the windows before a cut."""
        cuts = window_cuts(self.events, cut, self._config)
        for start in cuts:
            if (start, new_items) not in self._windows:
                self._windows[start, new_items] = fit_window(
                    self.events,
                    start,
                    self._catalogue,
                    self._config,
                    new_items=new_items,
                    models=self._models_at(start),
                )
        return [self._windows[start, new_items] for start in cuts]

    def _models_at(self, cut: int) -> RecallModels:
        if cut not in self._models:
            config, vectors = self._config.recall, self._catalogue.vectors
            self._models[cut] = RecallModels.fit(self.events, cut, config, vectors)
        return self._models[cut]


def _day(cut: int) -> str:
    return datetime.fromtimestamp(cut, UTC).date().isoformat()
