"""`python -m app` is `beatledger`. The import guard is needed because spawned children import this module."""

from app.cli import main

if __name__ == "__main__":
    main()
