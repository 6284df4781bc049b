"""The meter register: each meter's STS supply, where it is, what state it is in, its last TID."""
