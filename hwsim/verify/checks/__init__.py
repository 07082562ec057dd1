"""The comparisons that `hwsim verify` makes, one file an oracle; each returns rows of the table."""
