"""Extension workers: settlement, ranking and the referee, each a pure core and a thin worker."""
