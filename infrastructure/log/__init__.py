"""The ordered log below its ports: codec, group commit, the one writer of a process."""
