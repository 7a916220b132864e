"""The measured clients. Each module runs in the virtual environment of its peer, and imports only that peer.

A module defines ``DISTRIBUTIONS``, whose versions are reported, and ``open_cases(url)``, a function or a coroutine
function that returns the cases by name; each case is a function or a coroutine function that makes one call.
"""
