"""From samples to statistics: spectra, separation, features, pooling."""
