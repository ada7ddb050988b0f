"""What a process tells its operators: logs, figures and traces."""
