"""What several ways in need, once: jobs, freshness, journaling, parked streams, workers."""
