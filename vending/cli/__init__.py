"""The command line `vending`: each module is a group of commands, none of them decides."""
