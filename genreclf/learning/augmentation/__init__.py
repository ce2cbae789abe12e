"""Augmentation: synthetic samples of genres with few training tracks, a module for each method.

A sampler is used as those of imbalanced-learn are: ``fit_resample`` returns the given samples,
followed by synthetic ones.
"""
