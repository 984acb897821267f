"""What is taken out of texts before they are stored: detectors, the policy that says what becomes of their findings,
and the redactor that is both, ready for rows. Nothing here writes, asks the database, or keeps what it found.
"""
