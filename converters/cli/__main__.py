"""``python -m converters.cli``, and ``python -m skelstore``: the command line."""

from converters.cli.entry import main

if __name__ == "__main__":
    main()
