"""From a file to samples.

``opening`` and ``decode`` open and decode any audio file; the decoders are ``sndfile``, ``libav``,
``mpeg``, ``flac`` and ``chain``. ``placement`` places the excerpts of a track, and ``excerpt``
loads them.
"""
