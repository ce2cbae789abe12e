import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import joblib
import numpy as np
import pytest
from click.testing import CliRunner
from sample_models import QUICK, own_table
from sample_tables import blobs

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.errors import ConfigError, ModelError
from genreclf.learning.model import Model
from genreclf.learning.modelfile import bundled_model, is_trusted, read_card


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.fit(own_table(), QUICK)


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be another user, who has trusted nothing yet."""
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "another user"))


class Bomb:
    """Unpickles by making a folder."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.victim),)


def with_bomb(model: Model, path: Path, victim: Path) -> Path:
    """Write a model file with a perfect card and a pickle that does harm."""
    model.save(path)
    whole = path.read_bytes()
    pickled = path.with_suffix(".pickle")
    joblib.dump({"pipeline": model.pipeline, "novelty": model.novelty}, pickled)
    card = whole[pickled.stat().st_size :]
    path.write_bytes(pickle.dumps({"pipeline": Bomb(victim), "novelty": None}) + card)
    return path


def test_this_users_models_are_trusted_and_no_others(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.joblib"
    model.save(path)
    assert is_trusted(path)
    assert Model.load(path).genres == model.genres
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "another user"))
    assert not is_trusted(path)
    with pytest.raises(ModelError, match=r"m\.joblib: not written by your genreclf.*--trust"):
        Model.load(path)
    assert Model.load(path, trusted=True).genres == model.genres
    assert Model.load(path).genres == model.genres  # remembered


def test_a_changed_file_is_trusted_no_more(model: Model, tmp_path: Path) -> None:
    path = with_bomb(model, tmp_path / "m.joblib", tmp_path / "harm")
    assert not is_trusted(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "TABLE", "--table", "TABLE", "--model", "MODEL"],
        ["predict", "--table", "TABLE", "--model", "MODEL"],
        ["predict", "song.wav", "--model", "MODEL"],
        ["predict", "song.wav"],
        ["evaluate", "TABLE", "--model", "MODEL"],
        ["inspect", "MODEL"],
        ["train", "MODEL"],
        ["evaluate", "MODEL"],
    ],
    ids=" ".join,
)
def test_a_strangers_pickle_runs_under_no_command(
    arguments: list[str], model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    harm = tmp_path / "harm"
    path = with_bomb(model, tmp_path / "model.joblib", harm)
    own_table().save(tmp_path / "t.csv")
    places = {"TABLE": str(tmp_path / "t.csv"), "MODEL": str(path)}
    done = CliRunner().invoke(cli, [places.get(word, word) for word in arguments])
    assert not harm.exists()
    assert done.exit_code in ((0,) if arguments[0] == "inspect" else (1, 2))
    assert isinstance(done.exception, SystemExit | None)
    # The same file does its harm when asked to: the test would see it.
    CliRunner().invoke(
        cli, ["predict", "--table", places["TABLE"], "--model", places["MODEL"], "--trust"]
    )
    assert harm.exists()


def test_a_card_is_read_without_the_pickle(model: Model, tmp_path: Path) -> None:
    path = with_bomb(model, tmp_path / "m.joblib", tmp_path / "harm")
    card = read_card(path)
    assert card.genres == model.genres
    assert card.config == model.config
    assert card.to_dict() == model.to_dict()
    assert not (tmp_path / "harm").exists()


def test_joblib_alone_can_load_the_estimators(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m.joblib")
    pipeline = joblib.load(tmp_path / "m.joblib")["pipeline"]
    table = own_table(seed=1)
    np.testing.assert_array_equal(pipeline.predict_proba(table.values), model.predict_proba(table))


@pytest.mark.parametrize("name", ["svm", "lda", "logistic", "knn", "mlp"])
@pytest.mark.usefixtures("stranger")
def test_skops_needs_no_trust_and_predicts_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skops", reason="skops is an extra")
    table = blobs(20, 3, spread=0.7)
    model = Model.fit(table, load_config(overrides=[f"classifier.name={name}"]))
    model.save(tmp_path / "m.skops")
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "a third user"))
    read = Model.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(read.predict_proba(table), model.predict_proba(table))
    np.testing.assert_array_equal(
        read.novelty.distances(table.values), model.novelty.distances(table.values)
    )
    assert read.to_dict() == model.to_dict()


@pytest.mark.usefixtures("stranger")
def test_skops_with_types_that_could_do_harm_is_refused(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skops", reason="skops is an extra")
    path = tmp_path / "m.skops"
    forest = Model.fit(blobs(12, 3), load_config(overrides=["classifier.name=random-forest"]))
    forest.save(path)
    assert Model.load(path).genres == forest.genres  # this user wrote it
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "a third user"))
    with pytest.raises(ModelError, match=r"holds sklearn\.tree.*Tree.*--trust"):
        Model.load(path)
    assert Model.load(path, trusted=True).genres == forest.genres


@pytest.mark.parametrize(
    "card",
    [
        b"", b"{}", b"[]", b"null", b"nonsense", b"{" * 100_000,
        b'{"format": "genreclf-model", "format_version": 3}',
        b'{"format": "genreclf-model", "format_version": 3, "genres": [1], "config": 3}',
    ],
    ids=["empty", "object", "list", "null", "text", "deep", "incomplete", "wrong"],
)  # fmt: skip
def test_a_card_that_is_none_is_told_in_one_line(card: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.joblib"
    path.write_bytes(b"pickle" + card + len(card).to_bytes(8, "little") + b"genreclf")
    with pytest.raises(ModelError) as caught:
        read_card(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 2**63, 2**64 - 1, 10**6])
def test_lengths_that_lie(length: int, tmp_path: Path) -> None:
    path = tmp_path / "m.joblib"
    path.write_bytes(b"x" * 100 + length.to_bytes(8, "little") + b"genreclf")
    with pytest.raises(ModelError, match="not a genreclf model"):
        read_card(path)


def test_inspecting_a_card_with_a_strange_evaluation(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.joblib"
    Model(**{**vars(model), "evaluation": {"accuracy": "high", "\x1b[2J": []}}).save(path)
    done = CliRunner().invoke(cli, ["inspect", str(path)])
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "evaluation cannot be read" in done.output


def test_where_trust_cannot_be_kept_is_said(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be written .*will need --trust"):
        model.save(tmp_path / "m.joblib")


def test_the_plain_card_is_json(model: Model) -> None:
    plain: Any = json.loads(json.dumps(model.to_dict(), allow_nan=False))
    assert plain == model.to_dict()


@pytest.mark.usefixtures("stranger")
def test_the_bundled_model_answers_the_same_with_every_version() -> None:
    """As scikit-learn 1.8 with numpy 1.26 and scikit-learn 1.9 with numpy 2.4 do."""
    model = Model.load(bundled_model())  # needs no trust, and warns of nothing
    ramp = np.linspace(0, 1, len(model.feature_names))[None]
    expected = [0.023366, 0.379379, 0.004881, 0.003437, 0.013220, 0.019822, 0.500659, 0.010912,
                0.014684, 0.029640]  # fmt: skip
    np.testing.assert_allclose(model.pipeline.predict_proba(ramp)[0], expected, atol=1e-5)
    assert model.novelty.is_novel(ramp).all()


def with_card(model: Model, path: Path, **changes: Any) -> Path:
    """Write a model whose card was changed by someone else."""
    model.save(path)
    if path.suffix == ".skops":
        with ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        card = json.loads(members["genreclf.json"]) | changes
        members["genreclf.json"] = json.dumps(card).encode()
        with ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path
    whole = path.read_bytes()
    length = int.from_bytes(whole[-16:-8], "little")
    card = json.loads(whole[-16 - length : -16]) | changes
    text = json.dumps(card).encode()
    end = text + len(text).to_bytes(8, "little") + b"genreclf"
    path.write_bytes(whole[: -16 - length] + end)
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"genres": ["only"]}, "length >= 2"),
        ({"genres": ["a", "b", "a"]}, "named twice"),
        ({"feature_names": []}, "length >= 1"),
        ({"threshold": -1}, ">= 0.0"),
        ({"counts": {"a": "many"}}, "Expected `int`"),
        ({"\ud800": 1}, "surrogates not allowed"),
    ],
)
def test_cards_that_make_no_sense(
    model: Model, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    path = with_card(model, tmp_path / "m.joblib", **changes)
    with pytest.raises(ModelError, match=re.escape(f"{path}: not a genreclf model: ")) as caught:
        read_card(path)
    assert reason in str(caught.value)


EVIL = "\x1b[31m[red]\x07\u202e\nnew"


@pytest.mark.parametrize(
    "changes",
    [
        {"created": EVIL, "versions": {EVIL: EVIL}, "counts": {EVIL: 1}},
        {"genres": [EVIL, "b"], "feature_names": [EVIL, "f"]},
        {"evaluation": {"splits": {"kind": "stratified", "n_folds": EVIL}, "n_tracks": EVIL}},
        {"evaluation": {"accuracy": 10**400}},
    ],
)
def test_a_card_does_not_steer_the_terminal(
    model: Model, tmp_path: Path, changes: dict[str, Any]
) -> None:
    evaluation = {
        "accuracy": 0.5, "accuracy_ci95": [0.4, 0.6], "n_tracks": 9, "baseline_accuracy": 0.3,
        "chance_accuracy": 0.3, "balanced_accuracy": 0.5, "macro_f1": 0.5, "top2_accuracy": 0.7,
        "top3_accuracy": 0.8, "splits": {"kind": "stratified", "n_folds": 2},
    }  # fmt: skip
    changes = {**changes, "evaluation": evaluation | changes.get("evaluation", {})}
    path = with_card(model, tmp_path / "m.joblib", **changes)
    done = CliRunner().invoke(cli, ["inspect", str(path)])
    assert done.exit_code == 0, done.output
    assert all(line.isprintable() for line in done.output.split("\n"))
    assert "accuracy 50.0%" in done.output or "cannot be read" in done.output


@pytest.mark.parametrize(
    "changes",
    [
        {"genres": ["x", "y", "z"]},
        {"genres": ["genre0", "genre1"]},
        {"feature_names": ["mix.mfcc.00.mean"]},
    ],
)
def test_estimators_that_do_not_fit_the_card(
    model: Model, tmp_path: Path, stranger: None, changes: dict[str, Any]
) -> None:
    path = with_card(model, tmp_path / "m.skops", **changes)
    with pytest.raises(ModelError, match=r"m\.skops: (its estimators do not fit|not a genreclf)"):
        Model.load(path)


def test_a_card_whose_features_nobody_can_make(
    model: Model, tmp_path: Path, short_song: Path
) -> None:
    names = ["no.such.feature", *model.feature_names[1:]]
    path = with_card(model, tmp_path / "m.skops", feature_names=names)
    done = CliRunner().invoke(cli, ["predict", str(short_song), "--model", str(path)])
    assert done.exit_code == 1
    assert "makes no no.such.feature" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("version", ["x" * 10_000, "a\nb", None, [1] * 10_000])
def test_a_format_that_is_none_is_told_in_one_line(
    model: Model, tmp_path: Path, version: Any
) -> None:
    path = with_card(model, tmp_path / "m.joblib", format_version=version)
    with pytest.raises(ModelError, match=r"a model of format ") as caught:
        read_card(path)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_configuration_that_holds_no_text(model: Model, tmp_path: Path) -> None:
    config = model.config.to_dict() | {"scaling": "\ud800"}
    path = with_card(model, tmp_path / "m.joblib", config=config)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: ")):
        read_card(path)


def test_a_classifier_that_this_genreclf_does_not_have(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "m.joblib"
    model.save(path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[-16:-8], "little")
    path.write_bytes(b"\x80\x04cgenreclf.learning.former\nClassifier\n." + whole[-16 - length :])
    with pytest.raises(
        ModelError, match=r"genreclf\.learning\.former.*; train it again$"
    ) as caught:
        Model.load(path, trusted=True)
    assert "\n" not in str(caught.value)
