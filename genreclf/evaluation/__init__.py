"""The accuracy of classifiers: cross-validation, intervals, comparison, audit and importances."""
