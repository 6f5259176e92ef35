"""Interceptors of gRPC calls: call log, role check, load shedding and error mapping."""
