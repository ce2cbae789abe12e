"""From a table to a model and its predictions.

- Training: ``training``, ``pipelines``, ``classifiers``, ``splits``; ``outofcore`` for large
  tables.
- Steps of a pipeline: ``codebook``, ``scaling``, ``estimators``, ``calibration``; also ``novelty``.
- Networks: ``convnet`` is the classifier, ``networks`` its layers and training, ``curves`` how the
  training went.
- Checks of a table: ``duplicates`` finds copies, ``leaks`` finds columns that determine the genre.
- Models: ``model``, ``card``, ``modelfile``; ``choice`` finds the model to use.
- Predictions: ``prediction``, ``timeline``, ``thresholds``, ``explanation``.
- Tracks to label next: ``suggestion``.
"""
