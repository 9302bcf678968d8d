"""What executes a network: device choice and the store of weights."""
