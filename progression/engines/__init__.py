"""How a posterior is computed. One module an engine."""
