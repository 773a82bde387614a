"""The Autobahn testsuite itself against our server over real sockets: ``python3 dev.py test-autobahn [cases]``.

It needs CPython 2.7 and a package index. `tests/protocol/test_rfc6455_cases.py` checks the same behaviours every time.
"""
