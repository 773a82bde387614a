"""Several devices of one account: linking, revoking, recovery, and what they tell each other."""
