"""Convert switches of understanding, and interpretations, between the contract and the engine."""

from collections.abc import Mapping

from search.understanding.interpretation import Change, Effect, Interpretation, Understanding
from server.convert.filters import interval_message
from shortlist.v1 import understanding_pb2

_CHANGES: Mapping[Change, "understanding_pb2.Change.ValueType"] = {
    Change.SPELLING: understanding_pb2.CHANGE_SPELLING,
    Change.JOINED: understanding_pb2.CHANGE_JOINED,
    Change.SPLIT: understanding_pb2.CHANGE_SPLIT,
    Change.PINYIN: understanding_pb2.CHANGE_PINYIN,
}
_EFFECTS: Mapping[Effect, "understanding_pb2.UnderstandingEffect.ValueType"] = {
    "filter": understanding_pb2.UNDERSTANDING_EFFECT_FILTERED,
    "demote": understanding_pb2.UNDERSTANDING_EFFECT_DEMOTED,
    "none": understanding_pb2.UNDERSTANDING_EFFECT_NONE,
}


def understanding_record(message: understanding_pb2.Understanding) -> Understanding:
    """Convert the switches of a request."""
    return Understanding(
        spelling=not message.no_spelling,
        compounds=not message.no_compounds,
        synonyms=not message.no_synonyms,
        stop_words=not message.no_stop_words,
        limits=not message.no_limits,
        exclusions=not message.no_exclusions,
        values=not message.no_values,
        codes=not message.no_codes,
        sizes=not message.no_sizes,
        curated_rules=not message.no_curated_rules,
    )


def interpretation_message(
    interpretation: Interpretation | None,
) -> understanding_pb2.Interpretation | None:
    """Convert the interpretation of a query; None without a query."""
    if interpretation is None:
        return None
    return understanding_pb2.Interpretation(
        text=interpretation.text,
        rewrites=[
            understanding_pb2.Rewrite(
                change=_CHANGES[rewrite.change],
                words=rewrite.words,
                replacement=rewrite.replacement,
                probability=rewrite.probability,
                applied=rewrite.applied,
            )
            for rewrite in interpretation.rewrites
        ],
        synonyms=[
            understanding_pb2.Synonym(
                words=s.words,
                alternative=s.alternative,
                weight=s.weight,
                curation_id=s.curation_id,
            )
            for s in interpretation.synonyms
        ],
        stop_words=interpretation.stop_words,
        limits=[
            understanding_pb2.Limit(
                words=limit.words,
                interval=interval_message(limit.interval),
                effect=_EFFECTS[limit.effect],
            )
            for limit in interpretation.limits
        ],
        exclusions=[
            understanding_pb2.Exclusion(
                words=exclusion.words,
                excluded=exclusion.excluded,
                effect=_EFFECTS[exclusion.effect],
            )
            for exclusion in interpretation.exclusions
        ],
        values=[
            understanding_pb2.RecognisedValue(words=v.words, field=v.field, value=v.value)
            for v in interpretation.values
        ],
        curation_id=interpretation.curation_id,
    )
