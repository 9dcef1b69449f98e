"""Claims about parallel decoding: several positions are drawn in one step, as if independent."""
