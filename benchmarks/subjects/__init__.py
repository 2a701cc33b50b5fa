"""What is measured, one module each: the exporter, other projects' exporters, and what bounds them.

A module has a function ``make(url, settings)`` that returns a `Subject`. It imports nothing of the
other modules here but `subject`, for each runs in the environment of its own project.
"""
