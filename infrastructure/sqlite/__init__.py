"""SQLite, the embedded default: one file, nothing to install."""
