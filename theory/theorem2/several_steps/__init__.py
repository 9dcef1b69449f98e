"""What a student gains from several steps: perfect students, rounds, and imperfect ones."""
