"""The use cases of tokens: seal and open them, order one outside a sale, look at one."""
