"""What readers see, derived from events alone: it can be thrown away and made again."""
