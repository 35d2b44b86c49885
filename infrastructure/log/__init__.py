"""The ordered log: its contract, the codec, group commit, and the one writer of a process."""
