"""What can be configured: the schema, and reading it."""
