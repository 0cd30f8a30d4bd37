"""
One module for each layer that a request passes. A rule is a function that knows one kind of end: it
gives what explains the request, or None where it is not its business. Each looks at a ``Case`` that
failed, but for those of ``degraded``.
"""
