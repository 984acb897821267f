"""The way in for production: a plain ASGI application that takes outputs and feedback, many at a time."""
