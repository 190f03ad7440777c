"""`python -m app` is `beatledger`; the import guard matters, since spawned children import this module."""

from app.cli import main

if __name__ == "__main__":
    main()
