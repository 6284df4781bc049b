"""Where vending keys live: they are sealed at rest and leave only as tokens."""
