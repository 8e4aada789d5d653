"""The contract of every optimizer, and the truth about each."""
