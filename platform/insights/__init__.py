"""What managers see: rollups of what production said and what people made of it, as figures over time."""
