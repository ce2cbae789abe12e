"""The chain from audio files to features.

``chain`` computes the features of one file, ``tracks`` those of many, ``windows`` those of windows
along a file. ``job``, ``journal`` and ``partitions`` write tables so that an interrupted run can
resume. ``cache`` and ``audiodigest`` find features that were computed before.
"""
