"""Keeping a view current: projection, applier, runner, progress."""
