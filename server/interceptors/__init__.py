"""Interceptors of every call: call log, role check, load shedding and error mapping."""
