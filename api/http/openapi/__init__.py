"""The OpenAPI document: made by FastAPI from the routes, and completed here."""
