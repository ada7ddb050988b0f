"""Activities: what people do for a record: tasks and phone calls so far; and what is done by itself."""
