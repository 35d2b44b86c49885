"""Callers of the old routes: their tokens, their users, and a count of their calls."""
