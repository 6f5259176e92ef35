"""All requests that break one limit of the contract."""

from tests.refusals import curations, filters, others, people, searches, writes

# Requests to the engine.
REQUESTS = [
    *searches.search_refusals(),
    *searches.facet_refusals(),
    *searches.rule_refusals(),
    *searches.promotion_refusals(),
    *filters.filter_refusals(),
    *others.retrieval_refusals(),
    *others.input_refusals(),
    *others.candidate_refusals(),
    *others.suggest_refusals(),
    *others.get_refusals(),
    *people.person_refusals(),
    *people.context_refusals(),
    *people.recommend_refusals(),
    *people.exploration_refusals(),
]
WRITES = list(writes.write_refusals())
CURATIONS = list(curations.curation_refusals())
