"""The background worker: carries out what was promised at a commit, and settles what is open."""
