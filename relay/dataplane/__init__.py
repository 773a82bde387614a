"""The relay's own data plane: one trio task, one private epoll, all sockets. See `DESIGN.md` in ``relay``."""
