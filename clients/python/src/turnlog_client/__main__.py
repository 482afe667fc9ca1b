"""`python -m turnlog_client` is the command `turnlog`."""

from turnlog_client.command import main

if __name__ == "__main__":
    main()
