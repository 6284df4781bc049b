"""The use cases of campaigns, one file each."""
