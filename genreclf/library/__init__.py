"""Music files: finding them, their labels and groups, reading and writing their tags."""
