"""Compare recommendation with tuned peers: the options of `shortlist evaluate --task recommend`.

    python -m bench.quality.recommend --data $SHORTLIST_DATA/online_retail --cuts 2011-10-09

All systems are fitted at each cut and measured in one run. The report pools the cuts and seeds.
With `--resume DIR`, a run continues where an earlier one ended.
"""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from bench.quality.recommend.peers import peers
from catalog.dataset.reading import read_dataset
from train.evaluation.recommend.evaluate import (
    RecommendConfig,
    evaluate_recommendations,
    print_reports,
    write_reports,
)
from train.pipeline.texts import catalogue_of


@dataclass(frozen=True)
class PeersConfig(RecommendConfig):
    """Options of `python -m bench.quality.recommend`."""


def main(config: PeersConfig) -> None:
    """Evaluate our systems and the peers, print each result and then the reports."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("train").setLevel(logging.INFO)
    dataset = read_dataset(Path(config.data))
    catalogue = catalogue_of(dataset, config.init_from)
    compared = partial(peers, catalogue=catalogue)
    reports = evaluate_recommendations(dataset, catalogue, config, compared)
    print_reports(reports)
    if config.json is not None:
        write_reports(reports, config, config.json)


if __name__ == "__main__":
    main(tyro.cli(PeersConfig, prog="python -m bench.quality.recommend"))
