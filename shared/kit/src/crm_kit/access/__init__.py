"""Who a caller is and what they may do to which row."""
