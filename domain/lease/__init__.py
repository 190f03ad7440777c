"""The lease of a device: at most one deployment holds it, and its epoch fences off every earlier holder."""
