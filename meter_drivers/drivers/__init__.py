"""Protocol, line and profile together: the abilities of one meter."""
