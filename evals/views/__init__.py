"""The pages of the evaluation room."""
