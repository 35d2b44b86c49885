"""The current state of every ticket, and finding tickets."""
