"""The database engine used when none is known: settings import, and the first query says what to do."""
