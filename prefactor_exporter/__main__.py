"""Start the command line, or say what it needs."""

import io
import sys

__all__ = ["main"]

_NEEDED = frozenset({"rich", "typer"})


def main() -> None:
    """Run ``prefactor-exporter``; exit with status 2 if its extra is not installed."""
    try:
        # Only here, so that the package works without the extra.
        from prefactor_exporter.cli import app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(
            "error: the command line needs its extra: pip install 'prefactor-exporter[cli]'\n"
        )
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Whatever is in a payload, and however little the terminal can show.
            stream.reconfigure(errors="replace")
    app(prog_name="prefactor-exporter")


if __name__ == "__main__":
    main()
