"""Signed heads of the log, and exports: auditors take them away, and check them without us."""
