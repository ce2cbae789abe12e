"""From samples to statistics: spectra, separation, the functions of all features, pooling.

``catalogue`` declares every feature. ``harmony``, ``rhythm``, ``timbre`` and ``blocklevel`` compute
them, or ``librosa_engine`` does. ``scan``, ``structure`` and ``selection`` choose the excerpts.
"""
