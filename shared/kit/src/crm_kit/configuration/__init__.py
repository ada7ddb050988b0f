"""Settings of a process, from the environment and from secret files."""
