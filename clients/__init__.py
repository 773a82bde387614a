"""The SDK and what people use: connection, conversations, bots, the command line and the terminal."""
