"""Figures from plain numbers and arrays: no database, no domain words, one module per family.

Importing this package loads numpy at most; the two tests that need scipy load it when they are called.
"""
