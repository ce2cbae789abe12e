"""A person's music: its files, labels and tags."""
