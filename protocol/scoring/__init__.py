"""The arithmetic of ranking that reader and ranker share: a reader re-computes every score it is shown."""
