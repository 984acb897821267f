"""The demo: its traffic, its scripted reviewer and its model. It imports nothing of the rest of the house."""
