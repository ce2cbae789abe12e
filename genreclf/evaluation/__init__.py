"""The accuracy of classifiers.

- Cross-validation: ``crossvalidation``, ``folds``, ``result``, ``notes``; ``trainings`` estimates
  the time, ``outofcore`` is for large tables, ``modelevaluation`` for a model that is trained.
- Statistics: ``intervals``, ``significance``, ``reliability`` (calibration), ``importance``.
- Comparison of variants: ``planning``, ``matching``, ``comparison``, ``variants``.
- ``audit``: doubtful labels and copies.
"""
