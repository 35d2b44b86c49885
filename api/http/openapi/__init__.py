"""The OpenAPI document: what FastAPI makes of the routes, and what it cannot know."""
