"""The use cases of several ways in, each once: jobs, freshness, journaling, parked tickets."""
