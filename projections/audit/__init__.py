"""The audit log: its projection, and the questions auditors ask of it."""
