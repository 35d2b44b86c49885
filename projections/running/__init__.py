"""What keeps a view current: applier, runner, progress."""
