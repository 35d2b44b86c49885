"""The old system: its records, what they mean here, and what changes in it."""
