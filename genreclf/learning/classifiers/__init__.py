"""Classifiers: a module for each, which declares its hyperparameters, pipeline, search and cost.

A new classifier is a module here and a line in ``ClassifierConfig``.
"""

from genreclf.learning.classifiers.convnet import Convnet
from genreclf.learning.classifiers.ensemble import Ensemble
from genreclf.learning.classifiers.gradient_boosting import GradientBoosting
from genreclf.learning.classifiers.knn import Knn
from genreclf.learning.classifiers.lda import Lda
from genreclf.learning.classifiers.logistic import Logistic
from genreclf.learning.classifiers.mlp import Mlp
from genreclf.learning.classifiers.random_forest import RandomForest
from genreclf.learning.classifiers.svm import Svm

ClassifierConfig = (
    Svm | Logistic | Lda | Knn | RandomForest | GradientBoosting | Mlp | Ensemble | Convnet
)
