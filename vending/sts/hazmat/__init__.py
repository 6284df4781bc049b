"""Raw ciphers of IEC 62055-41: one block in, one block out. Use `vending.sts.codec` instead."""
