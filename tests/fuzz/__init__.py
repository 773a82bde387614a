"""Fuzzing with Hypothesis: whatever a peer sends, nothing but a protocol error escapes. CHAPPE_LONG=1 looks further."""
