"""What is measured. Each module runs in the virtual environment of its peer, and needs nothing but that peer.

A module has ``DISTRIBUTIONS``, whose versions are reported, and ``open_cases(url)``, a function or a coroutine
function, which returns the cases by name; each case is a function or a coroutine function that makes one call.
"""
