"""Settings, store addresses, and the catalogue file."""
