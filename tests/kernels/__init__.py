"""Both twins of every kernel: that they are the same, and that what they say is true."""
