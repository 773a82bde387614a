"""``chappe demo``: real processes on real sockets, told to do what people do, and judged by what they got."""
