"""Orders to meters: enter a token, open or close the relay; and what became of each."""
