"""Suggestions while a shopper types: their texts, their index, and its files."""

from lexical.suggestions.building import build_suggestions
from lexical.suggestions.config import SuggestionConfig
from lexical.suggestions.index import SuggestionIndex
from lexical.suggestions.kinds import Completion, Kind, Suggestion
from lexical.suggestions.past_queries import PastQueries

__all__ = [
    "Completion",
    "Kind",
    "PastQueries",
    "Suggestion",
    "SuggestionConfig",
    "SuggestionIndex",
    "build_suggestions",
]
