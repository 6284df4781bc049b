"""What electricity costs: versioned prices, and the arithmetic of a quote."""
