"""Worker processes, on this machine or on a Dask cluster; a crash or a hang costs one item only."""
