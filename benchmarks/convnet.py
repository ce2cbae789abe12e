"""Compare the network on spectrograms with the default classifier, also on fewer training tracks.

    genreclf extract FOLDER --labels FOLDER/manifest.csv -o features.csv
    genreclf extract FOLDER --labels FOLDER/manifest.csv --config convnet-input -o mel.npz
    python benchmarks/convnet.py features.csv mel.npz [--folds N] [--shares 0.25,0.5] [--set …]

First both are compared on the same folds, as by ``genreclf compare``. Then each training part is
cut to a share of its groups, and both are tested on the same test tracks as before. ``--set``
changes the network. It is trained on one thread.
"""

import argparse
from dataclasses import replace
from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

from genreclf.config.load import load_config
from genreclf.evaluation.comparison import compare
from genreclf.evaluation.crossvalidation import choose_splits
from genreclf.evaluation.folds import FoldOptions, predict_held_out
from genreclf.evaluation.matching import match_tracks
from genreclf.evaluation.variants import Variant
from genreclf.learning.duplicates import copies_in
from genreclf.learning.resolution import resolve
from genreclf.learning.splits import Fold, Splits, own_groups
from genreclf.reports.comparison import comparison_report
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_tables
from genreclf.tables.table import FeatureTable


def cut(splits: Splits, table: FeatureTable, share: float, seed: int) -> Splits:
    """Cut the training part of each fold to a share of the groups of each genre."""
    random, groups = np.random.default_rng(seed), own_groups(table.groups)

    def part(fold: Fold) -> Fold:
        train, test = fold
        kept = []
        for genre in table.genres:
            of_genre = np.unique(groups[train[table.labels[train] == genre]])
            n = max(1, round(share * len(of_genre)))
            kept += list(random.permutation(of_genre)[:n])
        return train[np.isin(groups[train], kept)], test

    return replace(splits, folds=[part(fold) for fold in splits.folds])


def curve(variants: list[Variant], shares: list[float]) -> None:
    """Print the accuracy of each variant for each share of the training groups."""
    for share in shares:
        for variant in variants:
            table = variant.table.take(variant.table.canonical_order())
            copies = copies_in(table)
            table = replace(table, groups=copies.joined(table.groups))
            config = resolve(variant.config, table)
            splits = cut(choose_splits(table, config, copies), table, share, config.seed)
            n = np.mean([len(train) for train, _ in splits.tested(table.labels)])
            held_out = predict_held_out(table, config, splits, FoldOptions(calibrated=False))
            low, high = held_out.interval(table.has_groups, copies.weights(held_out.rows).sum())
            print(
                f"{share:.0%} of the groups, {n:.0f} tracks, {variant.name}: "
                f"{held_out.accuracy:.1%} ({low:.0%} to {high:.0%})",
                flush=True,
            )


def main() -> None:
    """Read the tables, compare, and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("features")
    parser.add_argument("spectrograms")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--shares", default="")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    args = parser.parse_args()
    folds, start = f"evaluation.folds={args.folds}", process_time()
    tables, _ = match_tracks(
        dict(zip(("default", "convnet"), load_tables([args.features, args.spectrograms], Columns()),
                 strict=True))
    )  # fmt: skip
    configs = (
        load_config(overrides=[folds]),
        load_config(overrides=["classifier.name=convnet", folds, *args.overrides]),
    )
    variants = [
        Variant(name, table, config)
        for name, table, config in zip(("default", "convnet"), tables, configs, strict=True)
    ]
    with threadpool_limits(1):
        from genreclf.cli.output import stdout_console

        comparison_report(compare(variants, repeats=1).to_dict(), stdout_console())
        print(f"{process_time() - start:.0f} s of CPU time", flush=True)
        curve(variants, [float(share) for share in args.shares.split(",") if share])
    print(f"{process_time() - start:.0f} s of CPU time")


if __name__ == "__main__":
    main()
