"""Raw ciphers: one block in, one block out. Use `vending.sts.codec` instead of these."""
