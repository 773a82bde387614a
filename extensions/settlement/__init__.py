"""Settlement: a deterministic single-writer ledger, and the shells around it."""
