"""Tokens, keys and secrets: who is believed, and what is signed with."""
