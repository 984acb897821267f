"""The hand-written messages of the demo, one module per group of intents."""
