"""The tests mirror the source; beside them live the house rules, the model check and the long runs."""
