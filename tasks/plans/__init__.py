"""
Decide what to do: pure functions over plain data, without pyinfra, files, processes or a clock.
"""
