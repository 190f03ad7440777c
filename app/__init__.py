"""The application's start: settings, the composition root, the command line."""
