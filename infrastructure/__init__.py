"""Everything that touches the outside: stores, settings, files, logging."""
