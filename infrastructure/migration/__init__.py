"""Taking over the old system: one use case a verb, none of which prints."""
