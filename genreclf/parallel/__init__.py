"""Worker processes, on this machine or on a Dask cluster; a crash or a hang costs one item only."""

SECONDS_A_FILE = 300  # how long one file may take, unless a command is told otherwise
