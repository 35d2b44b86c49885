"""Tickets: events, commands, state, and one pure handler per command."""
