"""A script that ends, and says so if not everything it did was recorded."""

import sys

from prefactor_exporter import Exporter


def main():
    """Do the work; return the exit status."""
    with Exporter.from_env() as exporter, exporter.instance() as run:
        with run.span("agent:llm", {"question": "What is 6 times 7?"}) as span:
            span.set_result({"answer": 42})
    report = exporter.shutdown()  # done already; this is its report
    if not report:
        print("not everything was recorded:", report, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
