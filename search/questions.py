"""Preference questions: a few items that a new person can like or not, chosen for information."""

from dataclasses import replace

import numpy as np

from behaviour.questions import choose_questions
from search.channels.base import Query
from search.errors import NotSupportedError
from search.people.history import NO_HISTORY
from search.people.weights import ALSO_BOUGHT, POPULAR
from search.pipeline.filter import passing_items
from search.request import QuestionsRequest
from search.result import Question, Questions
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot

_MOST_TASTES = 200  # popular items that questions are chosen from


def questions(snapshot: Snapshot, request: QuestionsRequest, timer: StageTimer) -> Questions:
    """Return the popular items whose answers say the most about a person.

    The affinity of two items is the score of one in the channel `also_bought` for a person who has
    the other. The same bundle and filter always give the same questions.

    Raises:
        NotSupportedError: the bundle has no counts of events.
    """
    personal = snapshot.channels.personal
    if not {ALSO_BOUGHT, POPULAR} <= personal.keys():
        raise NotSupportedError("this bundle cannot recommend items; train it again")
    allowed = passing_items(snapshot, request.filter, timer)
    nothing = np.zeros(snapshot.channels.vector(0).shape, np.float32)
    with timer.stage("questions") as stage:
        query = Query("", nothing, history=NO_HISTORY, context=request.context)
        allowed = snapshot.catalogue.alive if allowed is None else allowed
        popular = personal[POPULAR].search(query, _MOST_TASTES, allowed)
        stage.candidates = len(popular.rows)
        affinity = np.eye(len(popular.rows))
        for place, row in enumerate(popular.rows.tolist()):
            timer.check()
            owned = replace(NO_HISTORY, anchors=np.array([row], np.int32))
            scores = personal[ALSO_BOUGHT].scores(Query("", nothing, history=owned), popular.rows)
            affinity[place] = np.maximum(affinity[place], scores)
        shares = np.maximum(popular.scores.astype(np.float64), 1e-9)
        chosen = choose_questions(shares, affinity, request.page_size) if len(shares) else []
    catalogue = snapshot.catalogue
    found = (
        Question(catalogue.item(int(popular.rows[place])), information)
        for place, information in chosen
    )
    return Questions(tuple(found), timer.reports)
