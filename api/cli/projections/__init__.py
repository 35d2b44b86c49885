"""The commands that watch, build, check and repair views."""
