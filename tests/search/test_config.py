"""Settings of the engine: values out of range are refused."""

import pytest

from base.errors import InputError
from search.config import EngineConfig
from search.request import SearchRequest


@pytest.mark.parametrize(
    ("setting", "value", "advice"),
    [
        ("recall_depth", 0, "is 0; give 1 to 1,000"),
        ("recall_depth", 1_001, "is 1,001; give 1 to 1,000"),
        ("rerank_depth", -1, "is -1; give 0 to 500"),
        ("rerank_depth", 501, "is 501; give 0 to 500"),
        ("recall_weight", -0.5, "is -0.5; give 0 to 100"),
        ("recall_weight", float("nan"), "is nan; give 0 to 100"),
        ("cache_megabytes", -1, "is -1; give 0 or more"),
        ("answer_milliseconds", -1, "is -1; give 0 or more"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting, value, advice):
    with pytest.raises(InputError, match=f"^engine: {setting} {advice}$"):
        EngineConfig(**{setting: value})


@pytest.mark.parametrize(("recall", "rerank"), [(1, 0), (1_000, 500)])
def test_settings_have_the_depths_of_requests(recall, rerank):
    config = EngineConfig(recall_depth=recall, rerank_depth=rerank)
    request = SearchRequest("lamp", recall_depth=recall, rerank_depth=rerank)
    assert (request.recall_depth, request.rerank_depth) == (
        config.recall_depth,
        config.rerank_depth,
    )
