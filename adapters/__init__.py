"""What stands behind the ports: Postgres, audio decoding, artefact files."""
