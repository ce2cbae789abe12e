"""Augmentation: made vectors for genres with few training tracks, a module for each method.

A sampler is used as those of imbalanced-learn are: ``fit_resample`` returns the given vectors,
followed by made ones.
"""
