"""From a file to samples: decoding, resampling, and which seconds of a track."""
