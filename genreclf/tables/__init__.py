"""Features of many tracks, and the files that hold them."""
