"""Feature tables and their files.

``table`` is the value, ``columns`` says what its columns are, and ``frames`` are stored beside it.
``reading`` and ``storage`` read and write it; ``formats``, ``csvtable`` and ``numbers`` know the
formats. ``inputs`` makes the inputs of a pipeline of it.
"""
