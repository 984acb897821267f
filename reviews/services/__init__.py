"""Every write of `reviews`, by noun."""
