"""`python -m perpixel`: the command, where its script is not on the path."""

from perpixel.cli.app import main

if __name__ == "__main__":
    main()
