"""Other people's files, read into cohorts."""
