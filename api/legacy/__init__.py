"""The old backend's ways in, answered as it answered."""
