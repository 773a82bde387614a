"""The wire conformance kit: `protocol/CONFORMANCE.md` says how to use it."""
