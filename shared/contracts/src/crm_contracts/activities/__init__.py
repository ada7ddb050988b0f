"""Activities: tasks and phone calls for records, and rules that create tasks."""
