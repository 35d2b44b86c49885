"""Views for readers, derived from events alone: each can be deleted and built again."""
