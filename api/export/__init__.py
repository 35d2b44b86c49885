"""What auditors take away with them, and check without us: signed heads of the log, and exports."""
