"""Activities: tasks, phone calls and e-mails for records, and rules that create tasks."""
