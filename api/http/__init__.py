"""HTTP: `/v1` for clients, auditors and operators; health and metrics beside it."""
