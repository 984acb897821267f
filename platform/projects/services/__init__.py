"""Every write of `projects`, by noun."""
