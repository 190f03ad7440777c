"""The device: its registration, its identity, and the attributes that it reports about itself."""
