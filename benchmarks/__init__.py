"""gdcore against its peers: contenders take turns in one process, ratios of medians are kept."""
