"""Settings of a process: from the environment and from files of secrets."""
