"""What the service tells the people who run it: logs without secrets, and metrics."""
