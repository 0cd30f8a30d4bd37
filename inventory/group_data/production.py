"""What the production clusters of inventory/prod.py share and the canary does not."""

timeout = 600  # seconds for each wait: larger clusters roll more proxies
