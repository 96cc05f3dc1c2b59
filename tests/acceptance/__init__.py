"""The touchline command from outside: subprocesses, real sockets, clients that others wrote."""
