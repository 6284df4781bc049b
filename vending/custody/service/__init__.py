"""The use cases of custody: limits of issuing, key ceremonies, what expires when."""
