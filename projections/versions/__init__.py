"""Versions of a view: following, building, comparing, switching, verifying, repairing."""
