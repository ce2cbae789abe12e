"""Compare the network on spectrograms with the default classifier, also on fewer training tracks.

    genreclf extract FOLDER --labels FOLDER/manifest.csv -o features.csv
    genreclf extract FOLDER --labels FOLDER/manifest.csv --config convnet-input -o mel.npz
    python benchmarks/convnet.py features.csv mel.npz \
        [--folds N] [--repeats N] [--shares 0.25,0.5] [--set …]

First both are compared on the same folds, as by ``genreclf compare``; each repeat has other folds
and another seed. Then each training part is cut to a share of its groups, and both are tested on
the same test tracks as before. ``--set`` changes the network. It is trained on one thread.
"""

import argparse
from dataclasses import replace
from time import process_time

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from genreclf.config.load import load_config
from genreclf.evaluation.comparison import compare
from genreclf.evaluation.crossvalidation import choose_splits
from genreclf.evaluation.folds import FoldOptions, predict_held_out
from genreclf.evaluation.intervals import share_interval
from genreclf.evaluation.matching import match_tracks
from genreclf.evaluation.result import HeldOut
from genreclf.evaluation.variants import Variant
from genreclf.learning.duplicates import Copies, copies_in
from genreclf.learning.resolution import resolve
from genreclf.learning.splits import SHUFFLES_TRIED, Fold, Splits, own_groups
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


def curve(variants: list[Variant], shares: list[float], repeats: int) -> None:
    """Print the accuracy of each variant for each share of the training groups."""
    for share in shares:
        for variant in variants:
            table = variant.table.take(variant.table.canonical_order())
            copies = copies_in(table)
            table = replace(table, groups=copies.joined(table.groups))
            rounds = [_cut_round(variant, table, copies, share, i) for i in range(repeats)]
            rows, which = np.unique(
                np.concatenate([held_out.rows for _, held_out in rounds]), return_inverse=True
            )
            hits = np.concatenate([held_out.correct for _, held_out in rounds])
            correct = np.bincount(which, weights=hits) / np.bincount(which)
            n_recordings = copies.weights(rows).sum()
            low, high = share_interval(correct, table.groups[rows], n_recordings)
            print(
                f"{share:.0%} of the groups, {np.mean([n for n, _ in rounds]):.0f} tracks, "
                f"{variant.name}: {correct.mean():.1%} ({low:.0%} to {high:.0%}); "
                f"each repeat: {', '.join(f'{held_out.accuracy:.1%}' for _, held_out in rounds)}",
                flush=True,
            )


def _cut_round(
    variant: Variant, table: FeatureTable, copies: Copies, share: float, repeat: int
) -> tuple[float, HeldOut]:
    """Return the mean number of training tracks of a cross-validation, and its predictions."""
    config = resolve(variant.config, table)
    config = msgspec.structs.replace(config, seed=config.seed + repeat * SHUFFLES_TRIED)
    splits = cut(choose_splits(table, config, copies), table, share, config.seed)
    n = float(np.mean([len(train) for train, _ in splits.tested(table.labels)]))
    return n, predict_held_out(table, config, splits, FoldOptions(calibrated=False))


def main() -> None:
    """Read the tables, compare, and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("features")
    parser.add_argument("spectrograms")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=1)
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

        comparison_report(compare(variants, repeats=args.repeats).to_dict(), stdout_console())
        print(f"{process_time() - start:.0f} s of CPU time", flush=True)
        shares = [float(share) for share in args.shares.split(",") if share]
        curve(variants, shares, args.repeats)
    print(f"{process_time() - start:.0f} s of CPU time")


if __name__ == "__main__":
    main()
