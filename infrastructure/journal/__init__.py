"""Who read the audit log, and what operators did."""
