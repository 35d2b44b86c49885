"""The commands for tickets: through the same writer as HTTP, by the operator's account."""
