"""People who use the meters: how to reach them, in which language, and what they allow."""
