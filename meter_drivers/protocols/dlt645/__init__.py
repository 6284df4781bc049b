"""DL/T 645-2007, both roles, with remote control, security and prepaid; sans I/O."""
