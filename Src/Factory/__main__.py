"""`python -m Src.Factory`: what `./factory` runs once its environment is there."""

import sys

from Src.Factory.cli import main

if __name__ == "__main__":
    sys.exit(main())
