"""The old system: its records and what they mean here, its users, its tokens."""
