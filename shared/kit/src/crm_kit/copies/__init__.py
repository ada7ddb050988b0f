"""Copies of others' records: fed by events, referred to, and waited for."""
