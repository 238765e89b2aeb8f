"""The door: every check a table passes before it becomes a cohort. One module a kind of fault; `admission` calls them."""
