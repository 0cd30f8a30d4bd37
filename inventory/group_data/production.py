"""
What the clusters of group ``production`` share, in whichever inventory of this folder: a file here
is named for a group. What stands beside a cluster in the inventory wins.
"""

timeout = 600  # seconds for each wait: larger clusters roll more proxies
