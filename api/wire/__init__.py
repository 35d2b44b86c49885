"""The JSON vocabulary that every way in shares."""
