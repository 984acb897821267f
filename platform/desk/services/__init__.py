"""What the desk stores of its own."""
