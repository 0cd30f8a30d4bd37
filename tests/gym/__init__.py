"""
Faults on a real cluster, one at a time, each with a look-alike in which nothing is wrong; a
diagnosis is judged by them. ``python -m tests.gym --list``
"""
