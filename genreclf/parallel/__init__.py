"""Processes that may die or hang one at a time."""
