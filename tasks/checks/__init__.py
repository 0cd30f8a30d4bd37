"""
Decide what is wrong: pure functions over plain data that yield findings, each explained in
docs/findings.md.
"""
