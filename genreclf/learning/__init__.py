"""From a table to a model and its predictions: classifiers, training, calibration, model files."""
