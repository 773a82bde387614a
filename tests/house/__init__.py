"""The house rules, as tests: what CONTRIBUTING.md asks of every change is checked here."""
