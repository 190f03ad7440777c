"""How it starts: settings, the composition root, the command line."""
