"""IEC 62056-21 mode C, both roles: sign-on, readout, programming mode; sans I/O."""
