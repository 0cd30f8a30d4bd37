"""
A stand-in for Azure that speaks to the real SDKs: Entra ID, Azure Resource Manager, IMDS and the
DNS that its zones hold.

All it knows is in one `state.Azure`; `server.serving` puts it on the network.
"""
