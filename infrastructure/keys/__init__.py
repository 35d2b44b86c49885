"""Tokens, keys and secrets: checking callers, and signing heads and exports."""
