"""Feature tables and their files.

``table`` is the value, and ``columns`` describes its columns; ``kept`` stores ``frames`` and the
statistics of single excerpts beside it. ``reading`` and ``storage`` read and write it; ``formats``,
``csvtable``, ``npzfile`` and ``numbers`` know the formats. ``inputs`` makes the inputs of a
pipeline of it. ``relabelling`` changes the labels in a file, which ``labelfiles`` and ``labelcsv``
read and write.
"""
