"""DLMS/COSEM, both roles: HDLC and wrapper, associations, services, ciphering, objects."""
