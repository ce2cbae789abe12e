"""The chain from audio files to features, for one file and for many; the cache and the journal."""
