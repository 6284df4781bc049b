"""What is kept of one person: shown masked, shown in full for a purpose, exported, erased."""
