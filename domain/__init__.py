"""Tickets and the rules for them, in the standard library alone: no I/O, no clock."""
