"""Act on what the core decides: the thread, the requests, and the life of the process."""
