"""Beyond the paper: what was tried on the way from LEAP to LEAP+, and how it was chosen."""
