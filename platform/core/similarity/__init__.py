"""How alike two texts are: folded equality, shared 5-grams, MinHash bands, TF-IDF; numpy, no database."""
