"""
Scenes for the alerts: real Envoys, configured the way Envoy Gateway configures them, backends that
fail in every way there is, and a real Prometheus with our rules, sixty times as fast.
"""
