"""`python -m tests.faults.hasty`: a service that keeps house all the time."""

import sys

from service import __main__, app

if __name__ == "__main__":
    app.HOUSEKEEPING_S = 0.05
    sys.argv = ["service", "--migrate"]
    sys.exit(__main__.main())
