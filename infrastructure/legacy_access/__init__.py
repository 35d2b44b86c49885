"""What old callers bring: their tokens, their users, and a count of their calls."""
