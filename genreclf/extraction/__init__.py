"""The chain from paths to a table, and how it resumes."""
