"""Who may come, and how much each may use: rates, quotas, registration, bans, and the operator's hand on all of it."""
