"""Every query of custody, by what it is about."""
