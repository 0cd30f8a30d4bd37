"""
How a run behaves on many clusters: the guard of each operation, rings, the journal and the report.
"""
