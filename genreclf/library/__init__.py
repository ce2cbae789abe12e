"""Music files: finding them, their labels and groups, reading and writing their tags.

- Tracks: ``sources`` finds them; ``labels`` and ``labelmap`` give them labels and groups.
- Other labels: ``corrections`` and ``labelcounts``; ``pathmatching`` finds the tracks that
  corrections are for, and ``manifest`` writes labels for later.
- Reading tags: ``tags``, with ``containers`` and ``streamtags`` for the layout of files.
- Writing genres: ``tagging`` for many files, ``tagwriter`` for one, ``tagbackup`` for the backup.
  ``genretags`` is the interface of all kinds of tags; ``mutagentags``, ``itemtags`` implement it.
"""
