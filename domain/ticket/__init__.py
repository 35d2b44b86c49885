"""Tickets: events, commands, state, streams, and one pure handler for each command."""
