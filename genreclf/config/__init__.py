"""The configuration: sections with types and ranges (``schema``, ``views``); loading (``load``)."""
