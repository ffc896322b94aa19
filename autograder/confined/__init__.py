"""What runs beside untrusted code; with ``adamw_pset`` less its answers, nothing else does."""
