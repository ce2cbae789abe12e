"""Train the model that comes with genreclf, and write its card.

The features are published ones of the thousand GTZAN clips, in two tables that are not part of
genreclf: ``gtzan-mfcc.csv`` and ``gtzan-librosa57.csv``. ``configs/gtzan133.toml`` computes the
same features from audio. Prints the SHA-256 that ``genreclf/learning/modelfile.py`` has to hold.

    python data/train_bundled.py FOLDER_OF_TABLES FOLDER_OF_OTHER_MUSIC

The other music is only measured on, for the card: a folder with audio files and a ``manifest.csv``
of their genres and artists. The card's figures are of 230 excerpts of Emotify (Aljanaki, Wiering &
Veltkamp 2016).
"""

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genreclf import cross_validate, evaluate_model, extract, load_config
from genreclf.config.schema import Config
from genreclf.evaluation.result import Evaluation
from genreclf.features.pooling import feature_names
from genreclf.learning.model import Model
from genreclf.learning.modelfile import bundled_model, write_model
from genreclf.reports.evaluation import calibration_clause
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

# Fewer trees than the default: the same accuracy (see benchmarks/accuracy.md) at half the size.
SETTINGS = (
    "classifier.name=ensemble",
    "classifier.n_estimators=100",
    "classifier.min_samples_leaf=3",
    "audio.rms_dbfs=-20",
)
PUBLISHED = {
    "chroma_stft_": "mix.chroma.",
    "rms_": "mix.rms.",
    "spectral_centroid_": "mix.centroid.",
    "spectral_bandwidth_": "mix.bandwidth.",
    "rolloff_": "mix.rolloff.",
    "zero_crossing_rate_": "mix.zero_crossing_rate.",
    "tempo": "mix.tempo",
    "mfcc.": "mix.mfcc.",
    "mfcc_delta.": "mix.mfcc_delta.",
    "mfcc_delta2.": "mix.mfcc_delta2.",
}


def load_published(folder: Path, config: Config) -> FeatureTable:
    """Read both tables as if ``config`` had made one of them."""
    columns = Columns(
        group="artist",
        folds="sturm_fold",
        features=tuple(f"{name}*" for name in PUBLISHED),
        join=(folder / "gtzan-librosa57.csv",),
    )
    table = load_table(folder / "gtzan-mfcc.csv", columns)
    names = [_our_name(name) for name in table.names]
    table = replace(table, names=names)
    # The sum of differences is the last value less the first: their mean is mostly noise.
    wanted = [
        name
        for name in feature_names(config)
        if not (name.startswith("mix.mfcc_delta") and name.endswith(".mean"))
    ]
    values = _at_level(table.columns_of(wanted), wanted, config)
    return replace(table, names=wanted, values=values, config=config.extraction, notes=[])


def _at_level(values: NDArray[np.float32], names: list[str], config: Config) -> NDArray[np.float32]:
    """Turn the columns that a gain changes into those of the same clips at one level.

    The mean square of a clip is the mean square of the RMS of its frames. A gain of g multiplies
    RMS by g, and adds 20 log10(g) to each of n mel bands in dB, which is sqrt(n) times as much in
    the coefficient 0 of an orthonormal DCT. It changes no other column.
    """
    mean, variance, loudness = map(names.index, ("mix.rms.mean", "mix.rms.var", "mix.mfcc.00.mean"))
    view = config.each_view[0]
    wanted = 10 ** (float(view.audio.rms_dbfs) / 20)
    gain = wanted / np.sqrt(values[:, mean] ** 2 + values[:, variance])
    values = values.copy()
    values[:, mean] *= gain
    values[:, variance] *= gain**2
    values[:, loudness] += 20 * np.log10(gain) * np.sqrt(view.spectra.n_mels)
    return values


def _our_name(name: str) -> str:
    theirs = max((prefix for prefix in PUBLISHED if name.startswith(prefix)), key=len)
    return PUBLISHED[theirs] + name.removeprefix(theirs)


def write_card(model: Model, ungrouped_accuracy: float, other: Evaluation, path: Path) -> None:
    """Write a description of the model in Markdown: its accuracy, its limits and its data."""
    result = model.evaluation or {}
    low, high = result["accuracy_ci95"]
    genres = result["genres"]
    lines = [
        "# The bundled model",
        "",
        "`genreclf predict` uses this model if you have none of your own. It knows ten Western "
        "genres as of 2001: " + ", ".join(genres) + ".",
        "",
        "## How good it is",
        "",
        f"Accuracy on artists that were not in the training set: **{result['accuracy']:.1%}** "
        f"(95 % interval {low:.1%} to {high:.1%}, over artists; {result['n_tracks']} "
        "GTZAN tracks, three artist-filtered folds). Top-2 accuracy is "
        f"{result['top2_accuracy']:.1%}, top-3 accuracy {result['top3_accuracy']:.1%}. "
        f"Confidence is {calibration_clause(result)}. "
        "The accuracy of always predicting the most frequent genre is "
        f"{result['baseline_accuracy']:.1%}.",
        "",
        "The classifier was selected on the same folds, from about a hundred, so expect one or two "
        "points less. With the same artists in training and test, the accuracy would be "
        f"{ungrouped_accuracy:.0%}, but that figure says nothing about your music.",
        "",
        *_on_other_music(other),
        "",
        *_scores(result),
        "",
        "Confusion matrix: rows are true genres, columns are predicted genres.",
        "",
        *_confusion(result),
        "",
        "## What not to expect",
        "",
        "- It predicts one of its ten genres for any input. Noise, tones and speech are marked as "
        "novel. Folk, techno, newer music or music from other parts of the world often are not, "
        "and get one of the ten genres.",
        "- Three to five of ten predictions are wrong, most often for rock, and for newer pop.",
        "- It was trained on 30-second clips from 2001 and before. Many of them are noisy or have "
        "little energy in the upper band. Of a longer song, it uses the middle 30 seconds.",
        "- It does not know your genres. Train a model on your own labels with `genreclf train`.",
        "",
        "## How it was made",
        "",
        "**Data.** Published features of the thousand GTZAN clips (Tzanetakis & Cook 2002), 100 "
        "per genre: MFCC statistics at 12 kHz (published with Choi, Fazekas, Sandler & Cho 2017, "
        "arXiv 1703.09179) and 13 others at 22,050 Hz (from a widely used table of librosa "
        "statistics). Artists and folds are those of Sturm 2013. `configs/gtzan133.toml` computes "
        "the features from audio. The means of the 40 differences are left out: each is the "
        "last value of a clip minus the first, divided by the length, and therefore noise. RMS and "
        "the first MFCC are converted to one level (`audio.rms_dbfs`), so loudness has no "
        "influence. GTZAN has known faults: repetitions, distortions and disputable labels.",
        "",
        "**Classifier.** genreclf's ensemble (support vector machine, discriminant analysis with "
        "shrinkage, extremely randomised trees), calibrated with artists kept together.",
        "",
        "```sh",
        "python data/train_bundled.py FOLDER_OF_TABLES FOLDER_OF_OTHER_MUSIC",
        "```",
        "",
        "**Versions.** "
        + ", ".join(f"{name} {version}" for name, version in model.versions.items())
        + ".",
        "",
    ]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")


def _on_other_music(other: Evaluation) -> list[str]:
    low, high = other.interval
    recalls = ", ".join(
        f"{genre} {scores['recall']:.0%} of {scores['n']}"
        for genre, scores in other.per_genre.items()
    )
    n_artists = len(set(other.held_out.groups))
    return [
        f"On other music it is less accurate: **{other.accuracy:.1%}** ({low:.1%} to {high:.1%}) "
        f"on {len(other.held_out.rows)} tracks by {n_artists} artists of Emotify (Aljanaki, "
        f"Wiering & Veltkamp 2016), in {len(other.per_genre)} of its genres. Recall: {recalls}.",
    ]


def _scores(result: dict[str, Any]) -> list[str]:
    rows = [
        f"| {genre} | {scores['precision']:.0%} | {scores['recall']:.0%} | {scores['n']} |"
        for genre, scores in result["per_genre"].items()
    ]
    return ["| genre | precision | recall | tracks |", "|---|---|---|---|", *rows]


def _confusion(result: dict[str, Any]) -> list[str]:
    genres = result["genres"]
    rows = [
        f"| **{genre}** | {' | '.join(map(str, row))} |"
        for genre, row in zip(genres, result["confusion_matrix"], strict=True)
    ]
    return [f"| | {' | '.join(genres)} |", "|---" * (len(genres) + 1) + "|", *rows]


def main() -> None:
    """Evaluate on artist-filtered folds, then train on everything and try it on other music."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, metavar="FOLDER_OF_TABLES")
    parser.add_argument("other", type=Path, metavar="FOLDER_OF_OTHER_MUSIC")
    arguments = parser.parse_args()
    config = load_config("gtzan133", SETTINGS)
    table = load_published(arguments.tables, config)
    evaluation = cross_validate(table, config)
    leaky = replace(table, folds=None, groups=np.full_like(table.groups, ""))
    model = Model.fit(table, config, evaluation=evaluation)
    path = bundled_model()
    estimators = {"pipeline": model.pipeline, "novelty": model.novelty}
    write_model(path, estimators, model, compress=("xz", 6))
    other = extract(arguments.other, config, labels=arguments.other / "manifest.csv")
    known = other.take(np.isin(other.labels, model.genres))
    ungrouped = cross_validate(leaky, config).accuracy
    write_card(model, ungrouped, evaluate_model(model, known), path.with_suffix(".md"))
    print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name, f"{evaluation.accuracy:.1%}")


if __name__ == "__main__":
    main()
