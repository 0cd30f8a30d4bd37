"""
Why a request failed: read what proxies, logs and objects say, decide which cause explains it.

Pure but for ``bundle`` and ``__main__``, which read files: the same evidence gives the same answer
on a cluster, from a folder, and in a test.
"""
