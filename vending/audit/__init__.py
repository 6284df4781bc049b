"""The audit chain: seals what was recorded, exports signed heads, and shows tampering."""
