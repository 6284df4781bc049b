"""Every query on operators, one file for each kind of row."""
