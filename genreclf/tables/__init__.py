"""Feature tables, their file formats, and the frames beside them."""
