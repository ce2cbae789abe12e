from itertools import permutations

import numpy as np
import pytest
from sample_models import QUICK, own_table

from genreclf.config.load import load_config
from genreclf.features.pooling import feature_names
from genreclf.learning.explanation import MOST_GROUPS, OTHERS, column_groups, explain
from genreclf.learning.model import Model
from genreclf.learning.scaling import LogScaler


@pytest.mark.parametrize("config", ["default", "wide", "gtzan57", "gtzan133"])
def test_every_column_of_ours_is_in_one_group(config: str) -> None:
    names = feature_names(load_config(config))
    groups = column_groups(names)
    assert sorted(np.concatenate(list(groups.values()))) == list(range(len(names)))
    assert OTHERS not in groups
    assert len(groups) <= MOST_GROUPS


def test_names_from_elsewhere_go_by_their_first_word() -> None:
    groups = column_groups(["mfcc1_mean", "mfcc2_mean", "rms_mean", "mfcc1_var", "3"])
    assert {group: list(columns) for group, columns in groups.items()} == {
        "mfcc": [0, 1, 3], "rms": [2], OTHERS: [4],
    }  # fmt: skip
    same = column_groups(["mfcc.00.mean", "mfcc.01.mean", "mfcc_delta.00.mean"])
    assert {group: list(columns) for group, columns in same.items()} == {
        "mfcc": [0, 1], "mfcc_delta": [2],
    }  # fmt: skip
    many = column_groups([f"{chr(97 + i)}_{k}" for i in range(26) for k in range(1 + (i == 3))])
    assert len(many) == MOST_GROUPS
    assert list(many["d"]) == [3, 4]
    assert sum(map(len, many.values())) == 27


@pytest.mark.parametrize("scaling", ["log", "standard"])
def test_contributions_add_up_to_the_difference_from_the_average_track(scaling: str) -> None:
    config = load_config(overrides=[f"scaling={scaling}", "classifier.name=lda"])
    table = own_table()
    model = Model.fit(table, config.with_extraction(QUICK.extraction))
    scale = model.pipeline["standardise"]
    average = scale.inverse_transform(np.zeros((1, len(table.names))))
    np.testing.assert_allclose(scale.transform(average), 0, atol=1e-6)
    expected = model.pipeline.predict_proba(average)[0]
    found = list(model.predict_table(table, explained=True))
    plain = list(model.predict_table(table))
    assert [p.probabilities for p in found] == [p.probabilities for p in plain]
    assert not plain[0].explanation
    for prediction in found:
        baseline = expected[model.genres.index(prediction.genre)]
        total = sum(prediction.explanation.values())
        assert total == pytest.approx(prediction.confidence - baseline, abs=1e-7)
        amounts = [abs(share) for share in prediction.explanation.values()]
        assert amounts == sorted(amounts, reverse=True)


class Product:
    """A pipeline whose probability is a product, so that groups depend on each other."""

    def __getitem__(self, step: str) -> LogScaler:
        assert step == "standardise"
        return LogScaler().fit([[1.0, 2, 3], [2, 3, 5], [3, 4, 9]])

    def predict_proba(self, values: np.ndarray) -> np.ndarray:
        first = values[:, 0] * values[:, 1] + values[:, 2] ** 2
        return np.column_stack((first, 1 - first))


def test_shapley_values_are_the_mean_over_all_orders() -> None:
    names, values = ["a", "b", "c"], np.array([[7.0, 5, 2]], dtype=np.float32)
    average = Product()["standardise"].inverse_transform(np.zeros((1, 3)))
    expected = np.zeros(3)
    for order in permutations(range(3)):
        mixed = average.copy()
        for member in order:
            before = Product().predict_proba(mixed)[0, 0]
            mixed[0, member] = values[0, member]
            expected[member] += (Product().predict_proba(mixed)[0, 0] - before) / 6
    found = explain(Product(), column_groups(names), values, 0)
    assert [found[name] for name in names] == pytest.approx(list(expected))


def test_missing_values_are_explained_too() -> None:
    table = own_table()
    model = Model.fit(table, QUICK)
    table.values[0, :10] = np.nan
    [prediction, *_] = model.predict_table(table, explained=True)
    assert np.isfinite(list(prediction.explanation.values())).all()
