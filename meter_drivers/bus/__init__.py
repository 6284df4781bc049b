"""One owner per port or gateway: who may talk, when, and how often."""
