"""What one process of a service holds for as long as it lives, and how it is."""
