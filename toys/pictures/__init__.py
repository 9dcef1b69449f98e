"""Pictures of the toys, drawn from recorded results."""
