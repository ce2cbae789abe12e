"""From a table to a model and its predictions.

- Training: ``training``, ``pipelines``, ``classifiers``, ``splits``; ``outofcore`` for large
  tables.
- Steps of a pipeline: ``codebook``, ``scaling``, ``estimators``, ``calibration``; also ``novelty``.
- Checks of a table: ``duplicates`` finds copies, ``leaks`` finds columns that determine the genre.
- Models: ``model``, ``card``, ``modelfile``; ``choice`` finds the model to use.
- Predictions: ``prediction``, ``timeline``, ``thresholds``, ``explanation``.
"""
