# Everything is in dev.py; this file only gives its commands the names that people try first.
.PHONY: demo test test-long test-autobahn lint bench
demo test test-long test-autobahn lint bench:
	@python3 dev.py $@

prove-%:
	@python3 dev.py prove $*
