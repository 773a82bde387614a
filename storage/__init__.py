"""All SQL: what is durable, and the small protocols that say what each store promises."""
