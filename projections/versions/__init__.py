"""Versions of a view: building, comparing, switching, verifying, repairing."""
